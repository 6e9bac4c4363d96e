"""Why the lab's tax spreads over seeds, taken apart: ``python -m bench.lab_causes OUTPUTS [--draw FOLDER]``.

OUTPUTS holds runs of several LRM seeds, such as those of ``make lab-figure SEEDS=20,21,22``. In each LRM's longest
training on direct_refusal the embeddings of those tokens that its data do not hold are exchanged with the LRM's. The
problems are then asked of four models: the LRM, the aligned one, the aligned one with the LRM's rows of these tokens,
and the LRM with the aligned one's. Prints accuracy and how far embeddings moved; ``--draw`` also writes a figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safetax.data.lab.world import Problem
    from safetax.report.plots.style import Theme

DATA = "direct_refusal"
PROBLEMS = 200
TOKENS = 48
"""Most tokens of a trace and its answer: six steps need 30."""
NAMES = ("LRM", "aligned", "aligned, LRM's absent rows", "LRM, aligned's absent rows")


@dataclass(frozen=True)
class Training:
    """One aligned model, its LRM and its data, each a step on disk, and what its manifest says."""

    epochs: float
    lrm_seed: int
    step: Path
    lrm: Path
    data: Path
    world_seed: int
    drift: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--draw", type=Path, help="write lab-causes.svg and its dark twin into this folder")
    options = parser.parse_args()
    trainings = found(options.outputs)
    if not trainings:
        raise SystemExit(f"{options.outputs} holds no training of the lab on {DATA}")
    longest = max(each.epochs for each in trainings)
    last = [each for each in trainings if each.epochs == longest]
    print(f"{DATA}, {longest:g} epochs: accuracy in %, {PROBLEMS} problems, greedy")
    print(f"{'LRM seed':<10}" + "".join(f"{name:>28}" for name in NAMES))
    accuracies = []
    for each in last:
        accuracies.append(exchanged(each))
        print(f"{each.lrm_seed:<10}" + "".join(f"{value:>28.1f}" for value in accuracies[-1]), flush=True)
    for number, name in enumerate(NAMES):
        values = [each[number] for each in accuracies]
        print(f"{name:<28} {statistics.mean(values):5.1f} ± {statistics.stdev(values) if len(values) > 1 else 0:.1f}")
    print("embeddings, movement over length at the start (absent: of tokens that the data do not hold)")
    for epochs in sorted({each.epochs for each in trainings}):
        these = [each.drift for each in trainings if each.epochs == epochs]
        means = {name: statistics.mean(each[name] for each in these) for name in ("seen", "absent", "absent_together")}
        print(f"{epochs:4g} epochs  " + ", ".join(f"{name} {value:.2f}" for name, value in means.items()))
    if options.draw:
        from safetax.report.plots.style import save

        save(lambda theme: draw(trainings, last, accuracies, theme), options.draw, "lab-causes")


def found(outputs: Path) -> list[Training]:
    """Return the lab's trainings on the data set, by epochs and LRM seed."""
    trainings = []
    for path in outputs.glob("train/*/manifest.json"):
        manifest = json.loads(path.read_text())
        # Adapters leave the embeddings as they are.
        if not manifest["title"].startswith(f"align on {DATA}, ") or "embedding_drift" not in manifest["summary"]:
            continue
        lrm = outputs / manifest["inputs"]["model"]["step"]
        reasoning = json.loads((lrm / "manifest.json").read_text())
        learnt = json.loads((outputs / reasoning["inputs"]["data"]["step"] / "manifest.json").read_text())
        trainings.append(
            Training(
                epochs=manifest["identity"]["training"]["epochs"],
                lrm_seed=reasoning["identity"]["seed"],
                step=path.parent,
                lrm=lrm,
                data=outputs / manifest["inputs"]["data"]["step"],
                world_seed=learnt["identity"]["dataset"]["world_seed"],
                drift=manifest["summary"]["embedding_drift"],
            )
        )
    return sorted(trainings, key=lambda each: (each.epochs, each.lrm_seed))


def exchanged(training: Training) -> list[float]:
    """Return the accuracy in % of each of ``NAMES``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    from safetax.config.identity import restore_node
    from safetax.config.schema import Format
    from safetax.data.chat import ChatRenderer
    from safetax.data.lab.world import world
    from safetax.records import Example, read_records

    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(training.lrm / "model")
    identity = json.loads((training.step / "manifest.json").read_text())["identity"]
    renderer = ChatRenderer(tokenizer, restore_node(Format, identity["format"]))
    rows = read_records(training.data / "examples.jsonl", Example)
    held = {token for row in rows for token in renderer.row(row).tokens}
    absent = torch.tensor([token for token in range(len(tokenizer)) if token not in held])
    lrm, aligned = (
        AutoModelForCausalLM.from_pretrained(step / "model", dtype=torch.float32)
        for step in (training.lrm, training.step)
    )
    problems = world(training.world_seed).test_problems[:PROBLEMS]
    as_trained = [accuracy(model, problems, renderer, tokenizer) for model in (lrm, aligned)]
    ours, theirs = embeddings(lrm), embeddings(aligned)
    ours[absent], theirs[absent] = theirs[absent].clone(), ours[absent].clone()
    return [*as_trained, *(accuracy(model, problems, renderer, tokenizer) for model in (aligned, lrm))]


def embeddings(model: Any) -> Any:
    """Return the input embeddings, shape [vocabulary, hidden size], whose change changes the model."""
    return model.get_input_embeddings().weight.data


def accuracy(model: Any, problems: Sequence[Problem], renderer: Any, tokenizer: Any) -> float:
    """Return the share of right answers in %."""
    import torch

    from safetax.data.lab.chats import messages

    prompts = [renderer.prompt(messages(problem.text)) for problem in problems]
    longest = max(map(len, prompts))
    padded = [[tokenizer.pad_token_id] * (longest - len(prompt)) + prompt for prompt in prompts]
    ids = torch.tensor(padded)
    shown = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.inference_mode():
        written = model.generate(input_ids=ids, attention_mask=shown, max_new_tokens=TOKENS, do_sample=False)
    answers = [
        tokenizer.decode(row[longest:], skip_special_tokens=True).rpartition("</think>")[2].strip() for row in written
    ]
    return 100 * statistics.mean(
        answer == str(problem.values[-1]) for answer, problem in zip(answers, problems, strict=True)
    )


def draw(
    trainings: Sequence[Training], last: Sequence[Training], accuracies: Sequence[Sequence[float]], theme: Theme
) -> Figure:
    """Draw the loss, the movement of embeddings and what exchanged rows do."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    learning, moving, exchange = figure.subplots(1, 3)
    blue, orange = theme.lines[0], theme.lines[1]

    for each in last:
        lines = [json.loads(line) for line in (each.step / "history.jsonl").read_text().splitlines()]
        points = [(line["step"], max(line["loss"], 1e-6)) for line in lines if "loss" in line]
        learning.plot(*zip(*points, strict=True), color=blue, linewidth=0.7, alpha=0.6)
    learning.set_yscale("log")
    learning.set_xlabel("Optimiser step")
    learning.set_ylabel("Loss, nats per token")
    learning.set_title("The loss is soon at its floor")

    epochs = sorted({each.epochs for each in trainings})
    for name, color, marker in (("absent", orange, "s"), ("seen", blue, "o")):
        rows = [[100 * each.drift[name] for each in trainings if each.epochs == at] for at in epochs]
        moving.plot(epochs, [statistics.mean(row) for row in rows], color=color, marker=marker, markersize=4)
        moving.fill_between(epochs, [min(row) for row in rows], [max(row) for row in rows], color=color, alpha=0.2)
        label = "not in the data" if name == "absent" else "in the data"
        moving.annotate(
            label,
            (epochs[-1], statistics.mean(rows[-1])),
            xytext=(-46 if name == "absent" else -4, -3 if name == "absent" else 8),
            textcoords="offset points",
            ha="right",
            color=theme.text(color),
        )
    moving.set_ylim(bottom=0)
    moving.set_xlabel("Alignment epochs")
    moving.set_ylabel("Movement, % of length")
    moving.set_title("Embeddings move on")

    for number, values in enumerate(zip(*accuracies, strict=True)):
        places = [number + (at - (len(values) - 1) / 2) * 0.04 for at in range(len(values))]
        exchange.scatter(places, values, s=16, color=(blue, orange, blue, orange)[number], zorder=3)
    exchange.set_xticks(range(4), ["LRM", "aligned", "aligned,\nrows back", "LRM, rows\nof aligned"], fontsize=8)
    exchange.set_ylim(0, 101)
    exchange.set_ylabel("Accuracy, %")
    exchange.set_title("Rows not in the data are the tax")
    for axes in (learning, moving, exchange):
        axes.grid(color=theme.grid, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.title.set_fontsize(10)
    return figure


if __name__ == "__main__":
    main()
