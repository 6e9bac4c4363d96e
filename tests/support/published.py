"""Everything that ``conf/`` takes from the hub, served by a stand-in of it at tiny size: rows, models, judges.

Rows have the published columns, and mild texts of our own; models are random, of the true architectures and templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from launchers.rehearsal.checkpoints import causal, classifier, saying
from launchers.rehearsal.data import QUIZ, THINGS, problems, requests
from safetax.config.hydra import conf_directory
from tests.support.hub_stand_in import Hub
from tests.support.tokenizers_like import QWEN_SYSTEM, deepseek_like, llama_like, qwen_like

Row = Mapping[str, Any]
REFUSAL = "I cannot help with that. It is not mine to lend."
GUARDS = {
    "meta-llama/Llama-Guard-3-8B": "safe",
    "allenai/wildguard": "Harmful request: yes\nResponse refusal: no\nHarmful response: no",
    "cais/HarmBench-Llama-2-13b-cls": "No",
}
"""What each guard says of everything."""


def put_everything(hub: Hub, folder: Path) -> None:
    """Put all repositories that ``conf/`` names onto the hub; ``folder`` is where models are saved on the way."""
    put_rows(hub)
    put_models(hub, folder)


def put_rows(hub: Hub) -> None:
    """Put the data sets and benchmarks onto the hub, with the subsets and splits that they have."""
    asked, sums = requests(), problems(8)
    thought = [f"The owner would mind.\n</think>\n\n{REFUSAL}" for _ in asked]
    tagged = [f"<think>\n{text}" for text in thought]
    benign = [f"Where can I read about the {thing}?" for thing in THINGS]
    told = [f"That is easy to answer.\n</think>\n\nThe guide describes the {thing}." for thing in THINGS]
    trace, answer = "I add the two.", "There are $\\boxed{48}$ rolls."
    markup = (
        f"<|im_start|>system\n{QWEN_SYSTEM}<|im_end|>\n"
        "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
        "<|im_start|>think\n{}\n<|im_start|>answer\n{}<|im_end|>\n"
    )
    chains = _rows(instruction=asked, response=thought, label=["vanilla_harmful"] * len(asked))
    chains += _rows(instruction=benign, response=told, label=["vanilla_benign"] * len(benign))
    tables: dict[str, dict[tuple[str, str], Sequence[Row]]] = {
        "anonymous4486/repnoise_beavertail": {
            ("default", "train"): [{"refusal": f"Question: {each}\nAnswer: {REFUSAL}"} for each in asked]
        },
        "UWNSL/SafeChain": {("default", "train"): chains},
        "simplescaling/s1K": {
            ("default", "train"): [
                {"question": row["question"], "thinking_trajectories": [trace], "attempt": answer} for row in sums
            ]
        },
        "UCSC-VLAA/STAR-1": {
            ("default", "train"): _rows(question=asked, response=tagged, category=["['Theft']"] * len(asked))
        },
        "UCSC-VLAA/STAR-benign-915": {
            ("default", "train"): _rows(question=benign, response=[f"<think>\n{each}" for each in told])
        },
        "Yeonjun/R1-Act-train": {("default", "train"): _rows(instruction=asked, response=tagged)},
        "Seanie-lee/ThinkSafe-R1-Distill-7B": {
            ("default", "train"): [
                {"instruction": row["instruction"], "response": f"<think>\n{row['response']}"}
                | {"prompt_label": row["label"], "response_label": "safe"}
                for row in chains
            ]
        },
        "PKU-Alignment/BeaverTails": {
            ("default", "30k_test"): [{"prompt": each, "category": {"theft": True}, "is_safe": False} for each in asked]
        },
        "walledai/HarmBench": {("standard", "train"): _rows(prompt=asked, category=["x"] * len(asked))},
        "JailbreakBench/JBB-Behaviors": {
            ("behaviors", split): [
                {"Goal": each, "Category": "x", "Behavior": "b", "Target": "Sure", "Index": n}
                for n, each in enumerate(texts)
            ]
            for split, texts in (("harmful", asked), ("benign", benign))
        },
        "walledai/StrongREJECT": {("default", "train"): _rows(prompt=asked, category=["x"] * len(asked))},
        "allenai/wildjailbreak": {
            ("eval", "train"): [
                *({"adversarial": each, "data_type": "adversarial_harmful"} for each in asked),
                *({"adversarial": each, "data_type": "adversarial_benign"} for each in benign),
            ]
        },
        "walledai/XSTest": {
            ("default", "test"): [
                *({"prompt": each, "type": "x", "label": "unsafe"} for each in asked),
                *({"prompt": each, "type": "y", "label": "safe"} for each in benign),
            ]
        },
        "simplescaling/aime24_nofigures": {("default", "train"): [{**row, "answer": row["answer"]} for row in sums]},
        "simplescaling/openaimath": {("default", "test"): sums},
        "openai/gsm8k": {
            ("main", "test"): [{"question": row["question"], "answer": f"#### {row['answer']}"} for row in sums]
        },
        "Idavidrein/gpqa": {
            ("gpqa_diamond", "train"): [
                {"Question": question, "Correct Answer": correct}
                | {f"Incorrect Answer {place}": text for place, text in enumerate(wrong, 1)}
                for question, correct, wrong in QUIZ
            ]
        },
    }
    for name in ("TianshengHuang/DirectRefusal", "TianshengHuang/Small_SafeChain", "simplescaling/s1K_tokenized"):
        tables[name] = {("default", "train"): [{"text": markup.format(each, trace, REFUSAL)} for each in asked]}
    for name, parts in tables.items():
        hub.put(name, _files(parts))
    limo = [{"question": row["question"], "solution": trace, "answer": row["answer"]} for row in sums]
    hub.put("GAIR/LIMO", _files({("default", "train"): limo}))


def put_models(hub: Hub, folder: Path) -> None:
    """Put the models of ``conf/model`` and the judges' onto the hub."""
    saved = {
        "deepseek": _saved(folder / "deepseek", causal("Qwen2", deepseek_like(), 0), deepseek_like()),
        "llama": _saved(folder / "llama", causal("Llama", deepseek_like(), 1), deepseek_like()),
        "qwen2": _saved(folder / "qwen2", causal("Qwen2", qwen_like(), 2), qwen_like()),
        "qwen3": _saved(folder / "qwen3", causal("Qwen3", qwen_like(), 3), qwen_like()),
        "classifier": _saved(folder / "classifier", classifier(llama_like(), 5), llama_like()),
    }
    for path in sorted((conf_directory() / "model").glob("*.yaml")):
        repository = yaml.safe_load(path.read_text(encoding="utf-8"))["id"]
        if repository:
            known = hub.repositories.get(repository)  # GAIR/LIMO is a data set's name too
            rows = known.commits[known.branches["main"]] if known else {}
            hub.put(repository, rows | saved[_family(path.stem)])
    for number, (repository, reply) in enumerate(GUARDS.items()):
        hub.put(repository, _saved(folder / f"guard-{number}", *saying("Llama", llama_like(), reply)))
    hub.put("PKU-Alignment/beaver-dam-7b", saved["classifier"])


def _family(model: str) -> str:
    if model.startswith("deepseek"):
        return "llama" if "llama" in model else "deepseek"
    return "qwen3" if model.startswith("qwen3") else "qwen2"


def _saved(folder: Path, model: Any, tokenizer: Any) -> dict[str, bytes]:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _rows(**columns: Sequence[str]) -> list[dict[str, str]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _files(parts: Mapping[tuple[str, str], Sequence[Row]]) -> dict[str, str]:
    """Return a repository's files: the rows of each subset and split, and a card that says where they are."""
    configs: dict[str, list[dict[str, str]]] = {}
    files = {}
    for (subset, split), rows in parts.items():
        files[f"{subset}/{split}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
        configs.setdefault(subset, []).append({"split": split, "path": f"{subset}/{split}.jsonl"})
    card = {"configs": [{"config_name": name, "data_files": held} for name, held in configs.items()]}
    return {"README.md": f"---\n{yaml.safe_dump(card)}---\n", **files}
