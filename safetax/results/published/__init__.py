"""Figures that papers have published, as data, and what of a run's own results they stand beside.

A YAML file of this folder is one set: its source, what each of its measures is (metric, benchmarks, judge), and a row
for each checkpoint. Published figures are shown beside a run's and enter no statistic of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetax.errors import ConfigError

HERE = Path(__file__).parent
ROLES = ("base", "lrm", "aligned")
ORIGINS = ("table", "figure")
_PLACE = ("role", "dataset", "ours", "epochs", "from")


@dataclass(frozen=True)
class Measure:
    """What a published figure is: a metric, the benchmarks whose mean it is (empty: not known), and its judge."""

    name: str
    metric: str
    benchmarks: tuple[str, ...]
    judge: str | None = None


@dataclass(frozen=True)
class Row:
    """The published figures of one checkpoint, in percent by measure; ``origin`` says where they were read.

    ``ours`` are further names that a run of the same checkpoint may give its data (``ours`` of the YAML).
    """

    role: Literal["base", "lrm", "aligned"]
    dataset: str | None
    ours: tuple[str, ...]
    epochs: float | None
    origin: Literal["table", "figure"]
    values: Mapping[str, float]


@dataclass(frozen=True)
class Published:
    """One set of published figures; ``evaluation`` names the evaluation that follows its protocol, if one does."""

    name: str
    title: str
    source: str
    url: str
    note: str
    evaluation: str | None
    measures: Mapping[str, Measure]
    rows: Sequence[Row]


def names() -> list[str]:
    """Return the names of the sets that there are."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def load(name: str) -> Published:
    """Return a set by its name, or from a YAML file of the user's own.

    Raises:
        ConfigError: there is no such set, or the file is none.
    """
    own = name.endswith((".yaml", ".yml"))
    path = Path(name).expanduser() if own else HERE / f"{name}.yaml"
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


def _read(name: str, values: Mapping[str, Any]) -> Published:
    measures = {
        key: Measure(item["name"], item["metric"], tuple(sorted(item["benchmarks"])), item.get("judge"))
        for key, item in values["measures"].items()
    }
    rows = []
    for row in values["rows"]:
        figures = {key: float(value) for key, value in row.items() if key not in _PLACE}
        unknown = figures.keys() - measures.keys()
        if unknown or row["role"] not in ROLES or row["from"] not in ORIGINS:
            raise ValueError(f"row {row}: measures, role and from must be known")
        epochs = row.get("epochs")
        place = row.get("dataset"), tuple(row.get("ours", ())), None if epochs is None else float(epochs)
        rows.append(Row(row["role"], *place, row["from"], figures))
    return Published(
        name=name,
        title=str(values["title"]),
        source=str(values["source"]),
        url=str(values.get("url") or ""),
        note=str(values.get("note") or "").strip(),
        evaluation=values.get("evaluation"),
        measures=measures,
        rows=rows,
    )


def beside(sets: Mapping[str, Iterable[str]], checkpoints: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the sets as plain values, each row with the checkpoints of a results document that it stands beside.

    Args:
        sets: name of each set -> the models whose runs name it.
        checkpoints: the checkpoints of the results document.

    Returns:
        for each set ``name``, ``title``, ``source``, ``url``, ``note``, ``models``, ``measures`` (each with the plot's
        ``keys`` that it may be drawn at) and ``rows``; a row's ``ours`` lists the checkpoints of one model, data
        set and variant (several seeds are together), with their scores by measure.
    """
    listed = []
    for name, models in sorted(sets.items()):
        published = load(name)
        chosen = [c for c in checkpoints if c["model"] in models]
        listed.append(
            {
                "name": published.name,
                "title": published.title,
                "source": published.source,
                "url": published.url,
                "note": published.note,
                "models": sorted(models),
                "measures": {key: _described(measure, chosen) for key, measure in published.measures.items()},
                "rows": [_row(row, published, chosen) for row in published.rows],
            }
        )
    return listed


def _described(measure: Measure, checkpoints: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Describe a measure; its ``keys`` name the scores of a plot that are the same quantity."""
    keys = []
    if all(_judged_alike(measure, checkpoint) for checkpoint in checkpoints):
        keys += [f"{measure.metric}/{name}" for name in measure.benchmarks if len(measure.benchmarks) == 1]
        headlines = {_headline(checkpoint, measure.metric) for checkpoint in checkpoints}
        keys += [measure.metric] if measure.benchmarks and headlines == {measure.benchmarks} else []
    return {
        "name": measure.name,
        "metric": measure.metric,
        "benchmarks": list(measure.benchmarks),
        "judge": measure.judge,
        "keys": keys,
    }


def _row(row: Row, published: Published, checkpoints: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[tuple[str, str | None, str], list[Mapping[str, Any]]] = {}
    for checkpoint in checkpoints:
        place = checkpoint["role"], checkpoint["epochs"]
        same = place == (row.role, row.epochs) and checkpoint["dataset"] in (row.dataset, *row.ours)
        if same and _follows(checkpoint, published, checkpoints):
            line = checkpoint["model"], checkpoint["dataset"], checkpoint["variant"]
            found.setdefault(line, []).append(checkpoint)
    ours = []
    for (model, dataset, variant), group in found.items():
        scores = {key: _ours(published.measures[key], group) for key in row.values}
        ours.append(
            {
                "model": model,
                "dataset": dataset,
                "variant": variant,
                "checkpoints": [checkpoint["id"] for checkpoint in group],
                "scores": {key: score for key, score in scores.items() if score is not None},
            }
        )
    return {
        "role": row.role,
        "dataset": row.dataset,
        "epochs": row.epochs,
        "from": row.origin,
        "values": dict(row.values),
        "ours": ours,
    }


def _follows(checkpoint: Mapping[str, Any], published: Published, all_of_them: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a checkpoint was evaluated by the set's protocol, or none was."""
    wanted = published.evaluation
    return checkpoint["evaluation"] == wanted or not any(other["evaluation"] == wanted for other in all_of_them)


def _ours(measure: Measure, checkpoints: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the checkpoints' score for a published measure: of one its interval, of several their range."""
    scores = [score for checkpoint in checkpoints if (score := _score(measure, checkpoint)) is not None]
    if not scores or len(scores) < len(checkpoints):
        return None
    values = [score["value"] for score in scores]
    several = len(values) > 1
    return {
        "value": sum(values) / len(values),
        "low": min(values) if several else scores[0]["low"],
        "high": max(values) if several else scores[0]["high"],
        "n": [score["n"] for score in scores],
    }


def _score(measure: Measure, checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the score that is the same quantity as the published one: the same benchmarks and, if named, judge."""
    if len(measure.benchmarks) == 1 and measure.benchmarks[0] in checkpoint["benchmarks"]:
        benchmark = checkpoint["benchmarks"][measure.benchmarks[0]]
        judged = benchmark["judges"].get(measure.judge or benchmark["judge"])
        return judged["scores"].get(measure.metric) if judged else None
    if len(measure.benchmarks) > 1 and _headline(checkpoint, measure.metric) == measure.benchmarks:
        return checkpoint["scores"].get(measure.metric)
    return None


def _judged_alike(measure: Measure, checkpoint: Mapping[str, Any]) -> bool:
    """Whether the headline judge of a checkpoint's benchmarks is the published one."""
    judges = {b["judge"] for name, b in checkpoint["benchmarks"].items() if name in measure.benchmarks}
    return measure.judge is None or judges <= {measure.judge}


def _headline(checkpoint: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    """Return the benchmarks that a checkpoint's headline score of a metric is the mean of."""
    return tuple(
        sorted(
            name
            for name, benchmark in checkpoint["benchmarks"].items()
            if benchmark["headline"] and metric in benchmark["judges"][benchmark["judge"]]["scores"]
        )
    )
