"""The hf engine against transformers' own ``generate`` at its best batch: ``python -m bench.generate [--outputs DIR]``.

Both answer the lab's benchmarks with the LRM that ``make lab`` trained; prints tokens per second and the ratio of the
medians (bar: 0.95).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

THINKING, ANSWER = 72, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128, help="of the engine; the default is that of runtime=lab")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from safetax.config.schema import Format
    from safetax.data.chat import ChatRenderer

    torch.set_num_threads(options.threads)
    found = [
        path.parent for path in options.outputs.glob("train/*/manifest.json") if "reasoning stage" in path.read_text()
    ]
    if not found:
        raise SystemExit(f"{options.outputs} holds no LRM; run `make lab` first.")
    tokenizer = AutoTokenizer.from_pretrained(found[0] / "model")
    model = AutoModelForCausalLM.from_pretrained(found[0] / "model").eval()
    renderer = ChatRenderer(tokenizer, Format("tags", "<think>", "</think>", force_answer="</think>"))
    prompts = []
    for path in sorted(options.outputs.glob("prepare/*/step.json")):
        if json.loads(path.read_text())["title"].startswith("prompts "):
            rows = (json.loads(line) for line in (path.parent / "examples.jsonl").read_text().splitlines())
            prompts += [renderer.prompt(row["messages"]) for row in rows]
    batches = [32, 64, 128, 256, len(prompts)]
    run_plain(model, tokenizer, prompts[:64], 64)
    rates = {batch: run_plain(model, tokenizer, prompts, batch) for batch in batches}
    best = max(rates, key=lambda batch: rates[batch])
    print(f"{len(prompts)} prompts; transformers' generate is best at batch {best}", flush=True)
    ours, plain = [], []
    for number in range(1, options.rounds + 1):
        ours.append(run_engine(model, tokenizer, renderer, prompts, options.batch))
        plain.append(run_plain(model, tokenizer, prompts, best))
        print(f"round {number}: engine {ours[-1]:,.0f} tokens/s, generate {plain[-1]:,.0f} tokens/s", flush=True)
    engine, generate = statistics.median(ours), statistics.median(plain)
    medians = f"medians {engine:,.0f} / {generate:,.0f} tokens/s"
    print(f"hf engine / transformers' generate: {engine / generate:.2f} ({medians})")


def run_engine(model: Any, tokenizer: Any, renderer: Any, prompts: list[list[int]], batch: int) -> float:
    from safetax.evaluation.engines import Prompt
    from safetax.evaluation.engines.hf import HfEngine
    from safetax.evaluation.prompting import markers_of

    asked = [Prompt(tokens, THINKING, ANSWER, 0.0, 1.0, 0) for tokens in prompts]
    started = time.monotonic()
    tokens = 0
    for _, response in HfEngine(model, tokenizer, batch).respond(asked, markers_of(renderer)):
        ended = (response.end_of_thinking == "closed") + (response.end_of_answer == "stop")
        tokens += response.thinking_tokens + response.answer_tokens + ended
    return tokens / (time.monotonic() - started)


def run_plain(model: Any, tokenizer: Any, prompts: list[list[int]], batch: int) -> float:
    """Generate with transformers alone: longest prompts first, padded on the left, up to both budgets."""
    import torch

    ordered = sorted(prompts, key=len, reverse=True)
    started = time.monotonic()
    tokens = 0
    for at in range(0, len(ordered), batch):
        rows = ordered[at : at + batch]
        ids = torch.full((len(rows), len(rows[0])), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, -len(row) :] = torch.tensor(row)
            mask[index, -len(row) :] = 1
        with torch.inference_mode():
            output = model.generate(
                ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=THINKING + ANSWER,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        tokens += int((output[:, ids.shape[1] :] != tokenizer.pad_token_id).sum())
    return tokens / (time.monotonic() - started)


if __name__ == "__main__":
    main()
