"""Figures that papers have published, as data, and what of a run's own results they stand beside.

A YAML file of this folder is one set: its source, what each of its measures is (metric, benchmarks, judge), and a row
for each checkpoint. Published figures are shown beside a run's and enter no statistic of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetax.data.user_files import user_path
from safetax.errors import ConfigError
from safetax.results.curves import mean_of_scores
from safetax.results.document import Checkpoint, Score
from safetax.results.published_figures import (
    ComparedScore,
    MatchedCheckpoints,
    PublishedMeasure,
    PublishedRow,
    PublishedSet,
)

HERE = Path(__file__).parent
ROLES = ("base", "lrm", "aligned")
ORIGINS = ("table", "figure")
_PLACE = ("role", "dataset", "ours", "epochs", "from")


def names() -> list[str]:
    """Return the names of the sets that there are."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def load(name: str) -> PublishedSet:
    """Return a set by its name, or from a YAML file of the user's own.

    Raises:
        ConfigError: there is no such set, or the file is none.
    """
    own = name.endswith((".yaml", ".yml"))
    path = user_path(name, "published") if own else HERE / f"{name}.yaml"
    if not path.is_file() or (not own and name not in names()):
        raise ConfigError(
            f"published={name}: there is no such set of figures; allowed are {', '.join(names())}, null, or the path "
            "of a YAML file of the same form."
        )
    import yaml

    try:
        return _read(path.stem, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"published={name}: it is no set of published figures ({type(error).__name__}: {error}); it needs title, "
            f"source, measures and rows, as {HERE.name}/{names()[0]}.yaml has them."
        ) from None


def _read(name: str, values: Mapping[str, Any]) -> PublishedSet:
    measures = {
        key: PublishedMeasure(item["name"], item["metric"], tuple(sorted(item["benchmarks"])), item.get("judge"))
        for key, item in values["measures"].items()
    }
    rows = []
    for row in values["rows"]:
        figures = {key: float(value) for key, value in row.items() if key not in _PLACE}
        unknown = figures.keys() - measures.keys()
        if unknown or row["role"] not in ROLES or row["from"] not in ORIGINS:
            raise ValueError(f"row {row}: measures, role and from must be known")
        epochs = None if row.get("epochs") is None else float(row["epochs"])
        aliases = tuple(row.get("ours", ()))
        rows.append(PublishedRow(row["role"], row.get("dataset"), epochs, row["from"], figures, aliases))
    return PublishedSet(
        name=name,
        title=str(values["title"]),
        source=str(values["source"]),
        url=str(values.get("url") or ""),
        note=str(values.get("note") or "").strip(),
        measures=measures,
        rows=tuple(rows),
        evaluation=values.get("evaluation"),
    )


def match_published(sets: Mapping[str, Iterable[str]], checkpoints: Sequence[Checkpoint]) -> tuple[PublishedSet, ...]:
    """Return the sets, each row with the checkpoints of a results document that it stands beside.

    Args:
        sets: name of each set -> the models whose runs name it.
        checkpoints: the checkpoints of the results document.
    """
    listed = []
    for name, models in sorted(sets.items()):
        published = load(name)
        chosen = [checkpoint for checkpoint in checkpoints if checkpoint.model in models]
        measures = {key: _matched_measure(measure, chosen) for key, measure in published.measures.items()}
        rows = tuple(_matched_row(row, published, chosen) for row in published.rows)
        listed.append(replace(published, models=tuple(sorted(models)), measures=measures, rows=rows))
    return tuple(listed)


def _matched_measure(measure: PublishedMeasure, checkpoints: Sequence[Checkpoint]) -> PublishedMeasure:
    """Return a measure with the keys of the scores in a plot that are the same quantity."""
    keys = []
    if all(_judged_alike(measure, checkpoint) for checkpoint in checkpoints):
        keys += [f"{measure.metric}/{name}" for name in measure.benchmarks if len(measure.benchmarks) == 1]
        headlines = {_headline(checkpoint, measure.metric) for checkpoint in checkpoints}
        keys += [measure.metric] if measure.benchmarks and headlines == {measure.benchmarks} else []
    return replace(measure, keys=tuple(keys))


def _matched_row(row: PublishedRow, published: PublishedSet, checkpoints: Sequence[Checkpoint]) -> PublishedRow:
    found: dict[tuple[str, str | None, str], list[Checkpoint]] = {}
    for each in checkpoints:
        same = (each.role, each.epochs) == (row.role, row.epochs) and each.dataset in (row.dataset, *row.aliases)
        if same and _follows(each, published, checkpoints):
            found.setdefault((each.model, each.dataset, each.variant), []).append(each)
    ours = []
    for line, group in found.items():
        scores = {key: _compared(published.measures[key], group) for key in row.values}
        known = {key: score for key, score in scores.items() if score is not None}
        ours.append(MatchedCheckpoints(*line, tuple(checkpoint.id for checkpoint in group), known))
    return replace(row, ours=tuple(ours))


def _follows(checkpoint: Checkpoint, published: PublishedSet, all_of_them: Iterable[Checkpoint]) -> bool:
    """Whether a checkpoint was evaluated by the set's protocol, or none was."""
    wanted = published.evaluation
    return checkpoint.evaluation == wanted or not any(other.evaluation == wanted for other in all_of_them)


def _compared(measure: PublishedMeasure, checkpoints: Sequence[Checkpoint]) -> ComparedScore | None:
    """Return the checkpoints' score for a published measure: of several the mean, with its interval."""
    scores = [score for checkpoint in checkpoints if (score := _score(measure, checkpoint)) is not None]
    if not scores or len(scores) < len(checkpoints):
        return None
    over = mean_of_scores(scores, [checkpoint.lrm_seed for checkpoint in checkpoints])
    return ComparedScore(over.mean, over.low, over.high, tuple(score.n for score in scores))


def _score(measure: PublishedMeasure, checkpoint: Checkpoint) -> Score | None:
    """Return the score that is the same quantity as the published one: the same benchmarks and, if named, judge."""
    if len(measure.benchmarks) == 1 and measure.benchmarks[0] in checkpoint.benchmarks:
        benchmark = checkpoint.benchmarks[measure.benchmarks[0]]
        judged = benchmark.judges.get(measure.judge or benchmark.judge)
        return judged.scores.get(measure.metric) if judged else None
    if len(measure.benchmarks) > 1 and _headline(checkpoint, measure.metric) == measure.benchmarks:
        return checkpoint.scores.get(measure.metric)
    return None


def _judged_alike(measure: PublishedMeasure, checkpoint: Checkpoint) -> bool:
    """Whether the headline judge of a checkpoint's benchmarks is the published one."""
    judges = {benchmark.judge for name, benchmark in checkpoint.benchmarks.items() if name in measure.benchmarks}
    return measure.judge is None or judges <= {measure.judge}


def _headline(checkpoint: Checkpoint, metric: str) -> tuple[str, ...]:
    """Return the benchmarks that a checkpoint's headline score of a metric is the mean of."""
    held = checkpoint.benchmarks.items()
    return tuple(sorted(name for name, each in held if each.headline and metric in each.judged.scores))
