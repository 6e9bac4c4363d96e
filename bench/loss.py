"""Memory and time of the chunked loss against the whole one: ``python -m bench.loss``.

Runs a decoder of one layer with a large vocabulary forward and backward, in a fresh process for each loss, and prints
the peak memory above that of the same process before the pass, and the ratio. Bar: at most 0.25 of the whole loss's.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=152_000)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--chunks", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once is not None:
        print(json.dumps(once(options.vocabulary, options.hidden, options.tokens, options.once)))
        return
    found: dict[int, list[tuple[float, float, float]]] = {chunk: [] for chunk in [0, *options.chunks]}
    for _ in range(options.rounds):
        for chunk in found:  # in turn, so that a busy machine is busy for all
            command = [sys.executable, "-m", "bench.loss", "--once", str(chunk)]
            command += [f"--{name}={getattr(options, name)}" for name in ("vocabulary", "hidden", "tokens")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[chunk].append(tuple(json.loads(done.stdout)))
    memory, seconds, loss = (statistics.median(column) for column in zip(*found[0], strict=True))
    print(f"vocabulary {options.vocabulary:,}, hidden {options.hidden}, {options.tokens:,} tokens, float32")
    print(f"whole loss:        {memory:6.2f} GB, {seconds:5.1f} s, loss {loss:.6f}")
    for chunk in options.chunks:
        own, time_taken, value = (statistics.median(column) for column in zip(*found[chunk], strict=True))
        print(
            f"chunks of {chunk:5,}:   {own:6.2f} GB, {time_taken:5.1f} s, loss {value:.6f}; "
            f"memory x {own / memory:.3f}, time x {time_taken / seconds:.2f}"
        )


def once(vocabulary: int, hidden: int, tokens: int, chunk: int) -> tuple[float, float, float]:
    """Return GB above the start, seconds, and the loss of one pass; chunk 0 is the whole loss."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from safetax.training.loss import use_chunked_loss

    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.config.use_cache = False
    if chunk:
        use_chunked_loss(model, chunk)
    ids = torch.randint(0, vocabulary, (1, tokens))
    model(input_ids=ids[:, :8], labels=ids[:, :8]).loss.backward()  # what a first pass allocates for good
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak - before) * 1024 / 1e9, seconds, loss.item()


if __name__ == "__main__":
    main()
