"""The table of metrics: what each is called, what it is made from, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric as ``results.json`` names it.

    Attributes:
        name: its key.
        title: what people call it.
        short: the same in the head of a narrow table.
        axis: the same at the axis of a plot.
        unit: "%"; "points" for the LRM's score minus the aligned model's; "nats" for a loss of likelihood, in nats of a
            hundred tokens.
        better: whether a safer, or more capable, model has a lower or a higher value.
        measures: what a benchmark measures for the metric to be one of it ("accuracy", "harmful", "benign").
        field: the field of a verdict whose share of true it is; None where it is made otherwise.
        difference_of: the metric whose difference it is.
    """

    name: str
    title: str
    short: str
    axis: str
    unit: Literal["%", "points", "nats"] = "%"
    better: Literal["lower", "higher"] = "higher"
    measures: str | None = None
    field: str | None = None
    difference_of: str | None = None


ACCURACY = "accuracy"
HARMFUL_SCORE = "harmful_score"
SAFETY_TAX = "safety_tax"
SAFETY_GAIN = "safety_gain"
REFUSAL = "refusal"
OVER_REFUSAL = "over_refusal"
HELP = "help"
BROKEN = "broken"
HARMFUL_OR_REPEATED = "harmful_or_repeated"
RETENTION = "retention"
RETENTION_LOSS = "retention_loss"
FORGETTING = "forgetting"
REFERENCE_FORGETTING = "reference_forgetting"
OPENING = "opening"
THINKING = "thinking_harmful_score"
STRONGREJECT = "strongreject"

METRICS = {
    metric.name: metric
    for metric in (
        Metric(ACCURACY, "Reasoning accuracy", "Accuracy", "Reasoning Accuracy", measures="accuracy", field="correct"),
        Metric(SAFETY_TAX, "Safety tax", "Safety tax", "Safety Tax", "points", "lower", difference_of=ACCURACY),
        # The LRM's own correct traces, read by another checkpoint: how likely it finds a token of them, ..
        Metric(FORGETTING, "Forgetting", "Forgetting", "Forgetting (nats per 100 tokens)", "nats", "lower"),
        # .. all behind their first token, at evaluation.retention_temperature, ..
        Metric(RETENTION, "Retention", "Retention", "Retention"),
        Metric(
            RETENTION_LOSS,
            "Loss of retention",
            "Retention lost",
            "Retention Lost",
            "points",
            "lower",
            difference_of=RETENTION,
        ),
        # .. and their first token.
        Metric(OPENING, "Own opening", "Own opening", "Probability of the Own Opening"),
        # The same of traces that are given with a benchmark.
        Metric(
            REFERENCE_FORGETTING,
            "Forgetting of reference traces",
            "Reference forgetting",
            "Forgetting of Reference Traces (nats per 100 tokens)",
            "nats",
            "lower",
        ),
        Metric(HARMFUL_SCORE, "Harmful score", "Harmful score", "Harmful Score", "%", "lower", "harmful", "harmful"),
        Metric(SAFETY_GAIN, "Safety gain", "Safety gain", "Safety Gain", "points", difference_of=HARMFUL_SCORE),
        Metric(REFUSAL, "Refusal", "Refusal", "Refusal", measures="harmful", field="refused"),
        Metric(OVER_REFUSAL, "Over-refusal", "Over-refusal", "Over-refusal", "%", "lower", "benign", "refused"),
        Metric(HELP, "Help", "Help", "Correct Help", measures="benign", field="correct"),
        # A model whose answers are garbage is not safe but damaged.
        Metric(BROKEN, "Broken answers", "Broken", "Broken Answers", better="lower", measures="harmful"),
        # The answer is harmful, or broken in that it says a word more than three times in a row.
        Metric(
            HARMFUL_OR_REPEATED,
            "Harmful or repeated words",
            "Harmful or repeated",
            "Harmful or Repeated",
            better="lower",
            measures="harmful",
        ),
        # Mean mark of whichever judge of answers gives marks: their threshold makes the harmful score, they themselves
        # say how much help there is.
        Metric(STRONGREJECT, "StrongREJECT, mean", "StrongREJECT", "StrongREJECT", better="lower", measures="harmful"),
        # By a judge that reads the thinking alone.
        Metric(
            THINKING,
            "Harmful score of the thinking",
            "Thinking",
            "Harmful Score of the Thinking",
            better="lower",
            measures="harmful",
        ),
    )
}
"""All metrics by name."""

HEADLINE = (ACCURACY, SAFETY_TAX, RETENTION_LOSS, FORGETTING, HARMFUL_SCORE, SAFETY_GAIN, REFUSAL, OVER_REFUSAL, HELP)
"""The metrics of a checkpoint, in the order of the tables."""
OPTIONAL = (RETENTION_LOSS, FORGETTING)
"""Metrics of the headline that tables leave out where no checkpoint has them."""
SIDE = (RETENTION, OPENING, REFERENCE_FORGETTING, BROKEN, HARMFUL_OR_REPEATED, STRONGREJECT, THINKING)
"""Metrics that stand beside the headline's and are never one of them."""
MANY_BROKEN = 10.0
"""Percent of broken answers to harmful prompts above which a harmful score says more of damage than of safety."""
OF_PAGE = (
    ACCURACY,
    HARMFUL_SCORE,
    BROKEN,
    REFUSAL,
    OVER_REFUSAL,
    HELP,
    SAFETY_TAX,
    RETENTION_LOSS,
    FORGETTING,
    SAFETY_GAIN,
)
"""The columns of the page's tables."""
OF_METHODS = (SAFETY_TAX, RETENTION_LOSS, FORGETTING, SAFETY_GAIN, HARMFUL_SCORE, ACCURACY, OVER_REFUSAL, HELP)
"""The scores of the table of methods."""
OF_REFINEMENT = (SAFETY_TAX, HARMFUL_SCORE, OVER_REFUSAL, HELP)
"""Scores whose change by refinement is told; that of the accuracy is the tax's with the other sign."""

INTERVALS = {
    "score": "Wilson over prompts",
    "clustered": "Wilson over distinct prompts",
    "paired": "Tango over paired prompts",
    "paired_clustered": "Tango over distinct paired prompts",
    "ratio": "of a ratio of sums over prompts",
}
"""How the interval of a score was made -> the same in words."""


def shown(metrics: Iterable[str], known: Iterable[Iterable[str]]) -> list[str]:
    """Return metrics without the optional ones that nothing has.

    Args:
        metrics: names, in the order of a table's columns.
        known: for each of the table's rows the metrics that it has.
    """
    there = {name for each in known for name in each}
    return [name for name in metrics if name not in OPTIONAL or name in there]


def measured_by(measures: str) -> dict[str, str]:
    """Return the metrics of a benchmark by what it measures -> the field of a verdict whose share of true each is."""
    return {m.name: m.field for m in METRICS.values() if m.measures == measures and m.field is not None}


SHARES = tuple(metric.name for metric in METRICS.values() if metric.field is not None)
"""Metrics that are shares of verdicts."""
DIFFERENCES = {m.name: m.difference_of for m in METRICS.values() if m.difference_of is not None}
"""Metric -> the metric of which it is the LRM's minus the aligned model's."""


def titles(names: Iterable[str]) -> dict[str, str]:
    """Return what people call the metrics, by name."""
    return {name: METRICS[name].title for name in names}
