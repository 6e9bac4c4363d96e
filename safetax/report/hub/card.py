"""The card of a pushed repository: what it is, its figures with intervals, its settings and its provenance.

Everything comes from what decides a result and from what is recorded of it; where it ran and when stands nowhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from safetax.config.flat import flatten

if TYPE_CHECKING:
    from safetax.plan.graph import PlannedRun
    from safetax.results.document import Results
    from safetax.store.step import Step

TAGS = ("safetax", "safety-alignment", "reasoning")
LAB = (
    "The figures come from the lab, a small made-up world: they support directions (which data costs more reasoning), "
    "not effect sizes."
)

SETTINGS = ("training", "format", "seed", "interpolation")
"""What of a step's identity a model's card shows."""


def model_card(run: PlannedRun, step: Step, manifest: Mapping[str, Any], outputs: Path) -> str:
    """Return the card of a trained model: a YAML header and Markdown.

    Args:
        run: the run that trained it.
        step: its train step.
        manifest: the step's manifest.
        outputs: the folder of the steps, in which the run's record stands.
    """
    from safetax.report.tables import markdown_table
    from safetax.results.collect import collect

    config = run.config
    results = collect([outputs / "runs" / run.name]).results
    hub_id = config.model.id if config.model.id and _public(config.model.id) == config.model.id else None
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **({"base_model": hub_id} if hub_id else {}),
        **({"license": config.model.licence} if config.model.licence else {}),
        **({"datasets": [config.hub.push_dataset]} if config.hub.push_dataset else {}),
        "tags": list(TAGS),
    }
    settings = {**step.inputs["model"].identity, **step.identity} if step.kind == "merge" else step.identity
    aligned = run.dataset is not None
    what = f"aligned on {run.dataset}" if aligned else "after its reasoning stage"
    lines = [
        f"# {config.model.name} {what}",
        "",
        f"`{hub_id or config.model.name}` {what}"
        + (f", epochs {config.epochs:g}, seed {config.seed}" if aligned else f", seed {config.lrm_seed}")
        + ". Made with the framework safetax, which "
        "measures what safety alignment costs a reasoning model.",
        "",
        "## Figures",
        "",
        markdown_table(results).rstrip(),
        "",
        f"Evaluation `{config.evaluation.name}`; judges {_listed(config.judge) or 'none'}; benchmarks "
        f"{_listed(config.benchmark)}. A lower harmful score is safer; it is measured on these prompts by these judges "
        "and promises nothing about others.",
        *_warning(results),
        *(["", LAB] if config.model.tokenizer == "lab" else []),
        "",
        "## Settings",
        "",
        *_settings({key: settings[key] for key in SETTINGS if key in settings}),
        "",
        *_provenance(step, manifest),
    ]
    return _yaml(header) + "\n".join(lines) + "\n"


def _warning(results: Results) -> list[str]:
    """Return what the figures must not be taken for, where many of the answers that they rest on are broken."""
    from safetax.results.metrics import BROKEN, MANY_BROKEN

    found = [(each, each.scores[BROKEN].value) for each in results.checkpoints if BROKEN in each.scores]
    named = [f"{each.long_name}: {share:.1f} %" for each, share in found if share > MANY_BROKEN]
    if not named:
        return []
    return [
        "",
        f"**Broken, not safe:** many answers to harmful prompts are garbage, which no judge calls harmful "
        f"({'; '.join(_cell(text) for text in named)}).",
    ]


def dataset_card(run: PlannedRun, step: Step, manifest: Mapping[str, Any], rendered: bool) -> str:
    """Return the card of a data set: a YAML header and Markdown.

    Args:
        run: the run that made it.
        step: its prepare step.
        manifest: the step's manifest.
        rendered: whether the rows have the column ``text``.
    """
    markup = run.config.format
    counts = flatten(manifest["summary"])
    text = (
        f"`text`: the row as it is trained on, in the format `{markup.name}`"
        if rendered
        else "There is no column `text`: the chat template was not at hand where only data were made"
    )
    lines = [
        f"# {run.config.dataset.name}",
        "",
        f"Training data of a safety alignment: {counts.get('examples', '?')} rows, made with the framework safetax. "
        "It may hold harmful requests and, in part, harmful text, for research on safety.",
        "",
        "Columns: `id`, `messages` (up to the last user turn), `thinking`, `answer`, `supervised` (`turn`: all of the "
        "assistant's turn carries loss; `thinking_start`: the thinking alone, as the start of one), `meta` (JSON). "
        f"{text}.",
        "",
        "## Counts",
        "",
        *_settings(manifest["summary"]),
        "",
        "## Settings",
        "",
        *_settings(step.identity),
        "",
        *_provenance(step, manifest),
    ]
    return _yaml({"tags": list(TAGS)}) + "\n".join(lines) + "\n"


def _provenance(step: Step, manifest: Mapping[str, Any]) -> list[str]:
    """Return the section of fingerprints, hub commits, hashes and versions."""
    from safetax.store.step import in_order

    known = manifest.get("provenance", {})
    versions = {**known.get("versions", {}), "python": known.get("python")}
    lines = ["## Provenance", "", "| step | what | resolved |", "| --- | --- | --- |"]
    for made in in_order([step]):
        facts = {key: value for key, value in flatten(made.identity).items() if ".resolved." in f".{key}"}
        resolved = "<br>".join(f"{_cell(key)}: {_cell(_public(value))}" for key, value in facts.items()) or "–"
        lines.append(f"| `{made.key}` | {_cell(made.title)} | {resolved} |")
    named = ", ".join(f"{name} {value}" for name, value in sorted(versions.items()) if value)
    return [*lines, "", f"Versions: {named}."]


def _settings(values: Mapping[str, Any]) -> list[str]:
    rows = [(key, value) for key, value in flatten(values).items() if ".resolved." not in f".{key}"]
    table = [f"| {_cell(key)} | {_cell(_public(value))} |" for key, value in rows]
    return ["| setting | value |", "| --- | --- |", *table]


def _public(value: str) -> str:
    """Return a setting without what it says of this machine: of a path its last part, of an address nothing."""
    if "://" in value:
        return re.sub(r"\w+://\S+", "(an address)", value)
    local = value.startswith(("~", "./", "../")) or PurePath(value).is_absolute()
    # A name with a slash may be one of the hub or a folder here.
    return PurePath(value).name if local or ("/" in value and "\n" not in value and _exists(value)) else value


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except OSError:  # no path at all, such as a long text
        return False


def _cell(text: object) -> str:
    """Return text that can stand in a cell of a Markdown table, with nothing in it that is markup."""
    plain = str(text).replace("\n", "\\n")
    return re.sub(r"([|<>`*_\[\]])", r"\\\1", plain)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _yaml(header: Mapping[str, Any]) -> str:
    import yaml

    return f"---\n{yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)}---\n\n"
