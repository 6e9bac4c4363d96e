"""The report as one self-contained page: results, settings, provenance and samples, with nothing from a network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from safetax.report import headline, samples, sections
from safetax.report.category_tables import category_tables
from safetax.report.method_table import front_text, samples_text
from safetax.report.plots import crowded_figures
from safetax.results import record
from safetax.results.alignment_data import perplexity_digits
from safetax.results.method_rows import METRICS as METHOD_METRICS
from safetax.results.method_rows import last_rows, method_rows
from safetax.results.reader import Run, Steps, find_runs, read_json
from safetax.results.refinement import METRICS as REFINEMENT_METRICS
from safetax.results.refinement import refinement_effects
from safetax.results.sample_counts import without_fewer
from safetax.store.atomic import replacing

HERE = Path(__file__).parent

METRICS = {
    "accuracy": "Reasoning accuracy",
    "harmful_score": "Harmful score",
    "refusal": "Refusal",
    "over_refusal": "Over-refusal",
    "help": "Help",
    "safety_tax": "Safety tax",
    "safety_gain": "Safety gain",
}
"""Metrics in the order of the tables' columns; all in %, tax and gain in points."""

OTHER_METRICS = {"harmful_or_repeated": "Harmful or repeated words", "strongreject": "StrongREJECT, mean"}
"""What stands in the table of benchmarks and judges alone."""

KINDS = ["prepare", "train", "merge", "perplexity", "generate", "score"]
Manifests = Mapping[str, Mapping[str, Any]]


def write_page(results: Mapping[str, Any], directories: Sequence[Path], figures: Path, out: Path) -> Path:
    """Write the report's page to the file ``out`` and return its path.

    ``results`` is the content of results.json, ``directories`` are the output folders in which its runs and steps
    lie (or folders of runs or sweeps in them), ``figures`` is the folder that the plots were drawn into. Raises
    UserError when a run record, a manifest, responses or verdicts are missing.
    """
    found = {run.name: run for run in reversed(find_runs(directories))}
    found = {listed["name"]: found[listed["name"]] for listed in results["runs"]}
    steps = Steps(found.values())
    owners = {identity: found[listed["name"]] for listed in results["runs"] for identity in listed["checkpoints"]}
    collected = samples.collect(results, owners, steps)
    manifests = _manifests(found.values(), steps)
    script = _source("page.js")
    style = _source("page.css")
    labels = [label(checkpoint) for checkpoint in results["checkpoints"]]
    plain_labels = [label({**checkpoint, "variant": ""}) for checkpoint in results["checkpoints"]]
    long_labels = [long_label(checkpoint) for checkpoint in results["checkpoints"]]
    shared, runs = record.shared_and_own([run.record for run in found.values()])
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=number, signed=signed, interval=interval, seconds=duration, counted=counted)
    environment.filters.update(amount=amount, front=front_text, distinct=samples_text)
    environment.filters.update(perplexity_digits=perplexity_digits)
    page = environment.get_template("page.html.j2").render(
        policy=_policy(script, style),
        style=Markup(style),
        script=Markup(script),
        title=", ".join(dict.fromkeys(run["model"] for run in results["runs"])) or "no model",
        results=results,
        metrics=METRICS,
        other_metrics=OTHER_METRICS,
        unresolved=_any_unresolved(results),
        headline=headline.sentences(results),
        crowded=crowded_figures(without_fewer(results)["curves"]),
        methods=last_rows(method_rows(results)),
        method_metrics=METHOD_METRICS,
        refinements=refinement_effects(results),
        refinement_metrics=REFINEMENT_METRICS,
        categories=category_tables(results),
        notes=list(dict.fromkeys(note for run in found.values() if (note := run.record["config"].get("note")))),
        lab=any(run.record.get("world") == "lab" for run in found.values()),
        figures=_figures(figures),
        labels=labels,
        long_labels=long_labels,
        warnings=sections.engine_warnings(results, manifests, plain_labels),
        checks=sections.safety_checks(results),
        judge_scores=sections.judge_scores(results),
        evaluations=_evaluations(results),
        compared=_compared(results),
        costs=sections.costs(results, manifests),
        data_sets=sections.data(results),
        several_models=len({checkpoint["model"] for checkpoint in results["checkpoints"]}) > 1,
        shared=shared,
        runs=runs,
        steps=manifests,
        versions=_versions(manifests),
        spent=_spent(manifests),
        most=collected["most"],
        longest=collected["longest"],
        shown=len(collected["samples"]),
        data=embed({**collected, "checkpoints": _describe(results)}),
    )
    with replacing(out) as written:
        written.write_text(page, encoding="utf-8")
    return out


def number(value: float) -> str:
    """Return a number with one decimal place and a true minus sign."""
    return f"{value:.1f}".replace("-", "−") if round(value, 1) else "0.0"


def unbroken(text: str) -> str:
    """Return the text with no line break between a number and its % sign."""
    return re.sub(r"(?<=\d) %", "\u00a0%", text)


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return number(value) if round(value, 1) <= 0 else f"+{number(value)}"


def interval(score: Mapping[str, Any]) -> str:
    """Return the interval of a score as ``low to high``, or a dash where it has none."""
    if score.get("low") is None or score.get("high") is None:
        return "–"
    return f"{number(score['low'])} to {number(score['high'])}"


def counted(n: int | Sequence[int]) -> str:
    """Return a count, or the counts of several seeds, as ``60`` or ``59 to 60``."""
    counts = [n] if isinstance(n, int) else n
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def duration(seconds: float) -> str:
    """Return seconds in the unit a person would use."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def label(checkpoint: Mapping[str, Any]) -> str:
    """Return what a person calls a checkpoint."""
    name = {"base": "base model", "lrm": "LRM"}.get(checkpoint["role"]) or str(checkpoint["dataset"])
    return f"{name} ({checkpoint['variant']})" if checkpoint["variant"] else name


def long_label(checkpoint: Mapping[str, Any]) -> str:
    """Return what a person calls a checkpoint, with its epochs."""
    epochs = checkpoint["epochs"]
    after = "" if not epochs else f", {epochs:g} epoch{'' if epochs == 1 else 's'}"
    return label(checkpoint) + after


def amount(value: float | None, digits: int = 1, factor: float = 1.0) -> str:
    """Return a number with thousands apart, or a dash where it is not known."""
    return "–" if value is None else f"{value * factor:,.{digits}f}".replace("-", "−")


def embed(value: Any) -> Markup:
    """Return JSON that can stand inside a script element: no character in it can end the element or a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _evaluations(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the differences between evaluations with the checkpoints that they are between."""
    known = {checkpoint["id"]: checkpoint for checkpoint in results["checkpoints"]}
    rows = []
    for pair in results["evaluations"]:
        first, second = (known[pair[side]["id"]] for side in ("first", "second"))
        plain = {**first, "variant": ""}
        names = [pair[side]["name"] for side in ("first", "second")]
        for metric, change in pair["differences"].items():
            scores = [checkpoint["scores"][metric] for checkpoint in (first, second)]
            rows.append({"label": long_label(plain), "metric": metric, "names": names, "scores": scores, "by": change})
    return rows


def _compared(results: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the two evaluations that are compared, or what to call them where there are more."""
    names = {(pair["first"]["name"], pair["second"]["name"]) for pair in results["evaluations"]}
    return names.pop() if len(names) == 1 else ("One evaluation", "The other")


def _any_unresolved(results: Mapping[str, Any]) -> bool:
    benchmarks = (benchmark for checkpoint in results["checkpoints"] for benchmark in checkpoint["benchmarks"].values())
    return any("unresolved" in given for benchmark in benchmarks for given in benchmark["judges"].values())


def _describe(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    kept = ("role", "model", "epochs", "seed", "lrm_seed")
    return [
        {"label": label(checkpoint), **{key: checkpoint[key] for key in kept}} for checkpoint in results["checkpoints"]
    ]


def _source(name: str) -> str:
    text = (HERE / name).read_text(encoding="utf-8")
    assert "</" not in text, f"{name} would end the element that it stands in"
    return text


def _policy(script: str, style: str) -> str:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; img-src data:; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _figures(folder: Path) -> list[dict[str, str]]:
    """Return the plots that ``figures.json`` names, the trade-off first."""
    listing = folder / "figures.json"
    listed = read_json(listing, ("figures",))["figures"] if listing.is_file() else []
    found = []
    for figure in sorted(listed, key=lambda figure: figure["name"] != "tradeoff"):
        name = figure["name"]
        pictures = {"light": _data_uri(folder / f"{name}.svg"), "dark": _data_uri(folder / f"{name}-dark.svg")}
        texts = {key: figure[key] for key in ("name", "title", "caption", "alt")}
        found.append(texts | {"caption": unbroken(figure["caption"])} | pictures)
    return found


def _data_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _manifests(runs: Iterable[Run], steps: Steps) -> Manifests:
    owners = {step: run for run in runs for step in record.steps_of(run.record)}
    for step, run in owners.items():
        steps.manifest(step, run)  # raises where it is missing
    manifests = {step: steps.known(step)[0] for step in steps.ancestry(owners)}
    return dict(sorted(manifests.items(), key=lambda item: (KINDS.index(item[1]["kind"]), item[1]["title"], item[0])))


def _versions(manifests: Manifests) -> list[tuple[str, list[str]]]:
    found: dict[str, set[str]] = {}
    for manifest in manifests.values():
        provenance = manifest.get("provenance", {})
        named = {**provenance.get("versions", {}), "python": provenance.get("python")}
        for library, version in named.items():
            if version:
                found.setdefault(library, set()).add(str(version))
    return [(library, sorted(versions)) for library, versions in sorted(found.items())]


def _spent(manifests: Manifests) -> dict[str, dict[str, float]]:
    spent: dict[str, dict[str, float]] = {}
    for manifest in manifests.values():
        kind = spent.setdefault(manifest["kind"], {"steps": 0, "seconds": 0.0})
        kind["steps"] += 1
        kind["seconds"] += manifest.get("provenance", {}).get("seconds", 0.0)
    return spent
