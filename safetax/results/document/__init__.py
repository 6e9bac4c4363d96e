"""The results document: what ``results.json`` holds, as frozen data classes, and how it is written and read."""

from safetax.results.document.checkpoints import Benchmark, Checkpoint, Curve, CurvePoint, EvaluationSteps
from safetax.results.document.codec import from_json, to_json
from safetax.results.document.comparisons import (
    Agreement,
    BenchmarkAgreement,
    EvaluatedAs,
    EvaluationPair,
    MatchedCheckpoints,
    MatchedMeasure,
    MatchedRow,
    PairAgreement,
    PublishedSet,
)
from safetax.results.document.data import (
    AlignmentData,
    DataSet,
    Fallback,
    MeasuredShift,
    Perplexities,
    Perplexity,
    Shift,
)
from safetax.results.document.results import Results, RunEntry
from safetax.results.document.scores import ComparedScore, CountedEstimate, JudgeScores, PointScore, Score

__all__ = [
    "Agreement",
    "AlignmentData",
    "Benchmark",
    "BenchmarkAgreement",
    "Checkpoint",
    "ComparedScore",
    "CountedEstimate",
    "Curve",
    "CurvePoint",
    "DataSet",
    "EvaluatedAs",
    "EvaluationPair",
    "EvaluationSteps",
    "Fallback",
    "JudgeScores",
    "MatchedCheckpoints",
    "MatchedMeasure",
    "MatchedRow",
    "MeasuredShift",
    "PairAgreement",
    "Perplexities",
    "Perplexity",
    "PointScore",
    "PublishedSet",
    "Results",
    "RunEntry",
    "Score",
    "Shift",
    "from_json",
    "to_json",
]
