"""The report as one self-contained page: results, settings, provenance and samples, with nothing from a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from safetax import formatting
from safetax.report import comparisons, sections
from safetax.report.method_table import front_text, samples_text
from safetax.report.plots import crowded_figures
from safetax.report.samples import collect_samples
from safetax.results import metrics
from safetax.results.alignment_data import perplexity_texts
from safetax.results.collect import Collected
from safetax.results.document import Results
from safetax.results.method_rows import last_rows, method_rows
from safetax.results.provenance import mean_costs, training_costs
from safetax.results.reader import read_json
from safetax.results.record import shared_and_own, steps_of
from safetax.results.refinement import refinement_effects
from safetax.results.sample_counts import without_fewer
from safetax.store.atomic import replacing

HERE = Path(__file__).parent
KINDS = ["prepare", "train", "merge", "perplexity", "generate", "score"]
Manifests = Mapping[str, Mapping[str, Any]]


def write_page(collected: Collected, figures: Path, out: Path) -> Path:
    """Write the report's page to the file ``out`` and return its path.

    Raises UserError when a manifest, responses or verdicts are missing.

    Args:
        collected: results, runs and steps.
        figures: the folder that the plots were drawn into.
        out: the page.
    """
    script, style = _source("page.js"), _source("page.css")
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            policy=_policy(script, style),
            style=Markup(style),
            script=Markup(script),
            figures=_figures(figures),
            **_of_results(collected.results),
            **_of_runs(collected),
            **_of_samples(collected),
        )
    )
    with replacing(out) as written:
        written.write_text(page, encoding="utf-8")
    return out


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: formatting.visible(value) if type(value) is str else value,  # our own markup stays
    )
    written = ("number", "signed", "interval", "counted", "amount", "perplexity_digits")
    environment.filters.update({name: getattr(formatting, name) for name in written})
    environment.filters.update(seconds=formatting.duration, front=front_text, distinct=samples_text)
    environment.filters.update(plain=sections.without_variant, counts=sections.other_counts)
    environment.filters.update(perplexities=perplexity_texts)
    return environment


def _of_results(results: Results) -> dict[str, Any]:
    """Return what the page shows of the results."""
    held = [checkpoint.scores for checkpoint in results.checkpoints]
    benchmarks = [benchmark for checkpoint in results.checkpoints for benchmark in checkpoint.benchmarks.values()]
    return {
        "results": results,
        "title": ", ".join(dict.fromkeys(run.model for run in results.runs)) or "no model",
        "several_models": len(results.models) > 1,
        "metrics": metrics.titles(metrics.shown(metrics.OF_PAGE, held)),
        "all_metrics": metrics.titles(metrics.METRICS),
        "method_metrics": metrics.shown(metrics.OF_METHODS, held),
        "refinement_metrics": metrics.OF_REFINEMENT,
        "unresolved": any(given.unresolved for each in benchmarks for given in each.judges.values()),
        "headline": sections.sentences(results),
        "crowded": crowded_figures(without_fewer(results).curves),
        "methods": (methods := last_rows(method_rows(results))),
        "refinements": (refinements := refinement_effects(results)),
        "of_points": comparisons.of_points(results),
        "of_methods": comparisons.of_methods(methods),
        "of_refinement": comparisons.of_refinement(refinements),
        "of_evaluations": comparisons.of_evaluations(results),
        "categories": sections.category_tables(results),
        "checks": sections.safety_checks(results),
        "judge_tables": sections.judge_tables(results),
        "compared": sections.compared_evaluations(results),
        "data_sets": sections.data_sets(results),
    }


def _of_runs(collected: Collected) -> dict[str, Any]:
    """Return what the page shows of the runs' settings and steps."""
    records = [run.record for run in collected.runs]
    manifests = _manifests(collected)
    shared, runs = shared_and_own(records)
    return {
        "notes": list(dict.fromkeys(note for record in records if (note := record["config"].get("note")))),
        "lab": any(record.get("world") == "lab" for record in records),
        "warnings": sections.engine_warnings(collected.results, manifests),
        "costs": mean_costs(training_costs(collected.results.checkpoints, manifests)),
        "shared": shared,
        "runs": runs,
        "steps": manifests,
        "versions": _versions(manifests),
        "spent": _spent(manifests),
    }


def _of_samples(collected: Collected) -> dict[str, Any]:
    """Return the samples, and what the page says of them."""
    samples = collect_samples(collected)
    checkpoints = [
        {"label": each.name, **{key: getattr(each, key) for key in ("role", "model", "epochs", "seed", "lrm_seed")}}
        for each in collected.results.checkpoints
    ]
    told = {"most": samples["most"], "longest": samples["longest"], "shown": len(samples["samples"])}
    return {**told, "data": embed({**samples, "checkpoints": checkpoints})}


def embed(value: Any) -> Markup:
    """Return JSON that can stand inside a script element: no character in it can end the element or a line."""
    text = json.dumps(_visible(value), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _visible(value: Any) -> Any:
    """Return JSON values in which what models wrote has no character that works on the page."""
    if isinstance(value, dict):
        return {key: _visible(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(entry) for entry in value]
    return formatting.visible(value) if isinstance(value, str) else value


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
        found.append(texts | {"caption": formatting.unbroken(figure["caption"])} | pictures)
    return found


def _data_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _manifests(collected: Collected) -> Manifests:
    """Return the manifests of all steps that the runs stand on, in the order of a run's way."""
    owners = {step: run for run in collected.runs for step in steps_of(run.record)}
    for step, run in owners.items():
        collected.steps.manifest(step, run)  # raises where it is missing
    manifests = {step: collected.steps.known(step)[0] for step in collected.steps.ancestry(owners)}
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
