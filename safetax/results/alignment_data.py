"""What results say of the data that a model was aligned on: how many rows, how many of them the LRM wrote, and the
distribution shift, which is the perplexity of the rows under the LRM before and after they were refined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from safetax.data.datasets.subset import original_of
from safetax.results.reader import Run, Steps
from safetax.statistics import wilson

Document = dict[str, Any]

PARTS = ("all", "thinking", "answer")


def data_of(step: str, run: Run, steps: Steps) -> Document:
    """Return what is known of alignment data.

    ``distinct`` is the number of samples that are no repetition of another one; what was repeated and then rewritten
    counts once. ``draws`` are the numbers of the draws that chose them, one for each subset that was drawn; ``draw`` is
    that of the data themselves or else the only one. ``fallback`` is None where no row was refined; else ``n`` rows
    were to be, of which no sample of the LRM passed for ``kept``, whose original stands in the data, and ``dropped``;
    ``rate`` is the share of the two in %, with Wilson's interval. It is that of the whole refined data set, also where
    a part of it was taken. Refined data themselves say which data they were ``refined_from``.

    Args:
        step: key of the prepare step.
        run: the run that trained on them.
        steps: finished steps.
    """
    made_of = _made_of(step, run, steps)
    draws = {source: draw for source, summary in made_of.items() if (draw := summary.get("draw")) is not None}
    only = next(iter(draws.values())) if len(draws) == 1 else None
    manifest = steps.manifest(step, run)
    source = manifest["inputs"].get("source") if manifest["summary"].get("fallback") else None
    return {
        "step": step,
        "examples": made_of[step]["examples"],
        "distinct": _distinct(step, made_of, run, steps),
        "draw": draws.get(step, only),
        "draws": list(draws.values()),
        "fallback": _fallback(list(_fallbacks(step, run, steps))),
        **({"refined_from": source["step"]} if source else {}),
    }


def _made_of(step: str, run: Run, steps: Steps) -> dict[str, Mapping[str, Any]]:
    """Return the summaries of a data set and of those that it is made of, by step."""
    manifest = steps.manifest(step, run)
    found = {step: manifest["summary"]}
    for name in sorted(manifest["inputs"]):
        source = manifest["inputs"][name]["step"]
        if source.startswith("prepare/"):
            found |= _made_of(source, run, steps)
    return found


def _distinct(step: str, made_of: Mapping[str, Mapping[str, Any]], run: Run, steps: Steps) -> int:
    """Count the rows that repeat no other one, by their ids where rows were repeated before they came to this set."""
    before = (summary for source, summary in made_of.items() if source != step)
    if any(summary.get("distinct", summary["examples"]) < summary["examples"] for summary in before):
        return len({original_of(row["id"]) for row in steps.examples(step.removeprefix("prepare/"), run)})
    return made_of[step].get("distinct", made_of[step]["examples"])


def _fallbacks(step: str, run: Run, steps: Steps) -> Iterator[Mapping[str, Any]]:
    """Yield the counts of the refined data sets that data are made of."""
    manifest = steps.manifest(step, run)
    if manifest["summary"].get("fallback"):
        yield manifest["summary"]["fallback"]
        return
    for entry in manifest["inputs"].values():
        if entry["step"].startswith("prepare/"):
            yield from _fallbacks(entry["step"], run, steps)


def _fallback(counts: Sequence[Mapping[str, Any]]) -> Document | None:
    n = sum(count["rows"] for count in counts)
    if not n:
        return None
    fallen, dropped = (sum(count.get(name, 0) for count in counts) for name in ("fallen_back", "dropped"))
    share = wilson(fallen, n)
    rate = {"rate": 100 * share.value, "low": 100 * share.low, "high": 100 * share.high}
    return {"kept": fallen - dropped, "dropped": dropped, "n": n, **rate}


def shift_of(measured: Mapping[str, str], run: Run, steps: Steps) -> Document:
    """Return the perplexities of alignment data under the LRM, ``after`` and, where they were refined, ``before``.

    Each has ``all``, ``thinking`` and ``answer`` (see :func:`safetax.training.perplexity.summary_of`); None where no
    row has such a part.

    Args:
        measured: keys of the perplexity steps by ``after`` and ``before``.
        run: the run that asked for them.
        steps: finished steps.
    """
    return {
        when: _perplexities(steps.manifest(measured[when], run)) if measured.get(when) else None
        for when in ("after", "before")
    }


def _perplexities(manifest: Mapping[str, Any]) -> Document:
    return {part: manifest["summary"][part] for part in PARTS}


def with_shift(data: Sequence[Document], runs: Sequence[Run], steps: Steps) -> list[Document]:
    """Return the data sets of a results document, those whose perplexity was measured with ``shift``.

    That is a list, since several LRMs may have been asked: ``step``, ``title`` and the perplexities.
    """
    owners = {step: run for run in runs for step in run.record.get("steps", []) if step.startswith("perplexity/")}
    found: dict[str, list[Document]] = {}
    for step in sorted(owners):
        manifest = steps.manifest(step, owners[step])
        about = {"step": step, "title": manifest["title"], **_perplexities(manifest)}
        found.setdefault(manifest["inputs"]["data"]["step"], []).append(about)
    return [{**entry, "shift": found[entry["step"]]} if entry["step"] in found else entry for entry in data]


def perplexity_digits(value: float) -> int:
    """Return how many decimal places a perplexity is shown with: none where it is large."""
    return 2 if value < 100 else 0


def perplexity_texts(entry: Mapping[str, Any]) -> list[str]:
    """Return the perplexities of a data set, one for each LRM that was asked: ``1.49 [1.48, 1.51]``, then its parts."""
    return [_perplexity_text(measured) for measured in entry.get("shift", ())]


def _perplexity_text(measured: Mapping[str, Any]) -> str:
    def shown(value: float) -> str:
        return f"{value:,.{perplexity_digits(value)}f}"

    whole = measured["all"]
    parts = [f"{part} {shown(measured[part]['token'])}" for part in ("thinking", "answer") if measured[part]]
    reach = f"{shown(whole['token'])} [{shown(whole['low'])}, {shown(whole['high'])}]"
    return f"{reach} ({', '.join(parts)})" if parts else reach
