"""Scores stored responses: ``python -m safetax.workers.score DIR..``.

Never needs the model. Writes ``verdicts.jsonl``, a line for each response in the order of the responses. It also notes,
whoever judges, which answers are broken, and which to harmful prompts repeat a word over and over: in the verdict's
detail, and their numbers in the summary.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from safetax.config.components import calling, component_module, component_name
from safetax.config.identity import restore
from safetax.config.plugins import checked_verdicts
from safetax.config.training import exact
from safetax.errors import StepError
from safetax.evaluation.judging.broken import note_broken
from safetax.evaluation.judging.cases import JudgeContext, part_of
from safetax.evaluation.judging.repetition import repeated_words
from safetax.records import NOTHING, Example, Response, Verdict, read_records, write_records
from safetax.store.job import StepJob
from safetax.store.work_loop import run_by_hand

MAX_ERRORS = 0.2
"""Share of the verdicts of a judge without a setting of its own that may be errors."""


def work(jobs: Sequence[StepJob]) -> None:
    """Score the responses of the steps, one after the other."""
    for job in jobs:
        config = restore("judges", job.identity["judge"])
        examples = read_records(job.inputs["prompts"] / "examples.jsonl", Example)
        responses = read_records(job.inputs["responses"] / "responses.jsonl", Response)
        facts = job.identity["judge"].get("resolved") or {}
        context = JudgeContext(facts, job.runtime, job.scratch, job.cache, partial(job.progress, unit="responses"))
        with calling("judges", config.kind):
            verdicts = component_module("judges", config.kind).judge(config, examples, responses, context)
            ordered = checked_verdicts(verdicts, responses, component_name("judges", config.kind))
        check_errors(config.kind, ordered, job.runtime.get("max_errors", MAX_ERRORS))
        broken = note_broken(responses, ordered)
        repetition = note_repetition(examples, responses, ordered, getattr(config, "part", "answer"))
        with job.writing("verdicts.jsonl") as written:
            write_records(written, ordered)
        labels = Counter(verdict.label for verdict in ordered)
        errors = sum(verdict.error is not None for verdict in ordered)
        summary = {"verdicts": len(ordered), "errors": errors, "broken": broken, "judge": config.kind}
        job.finish({**summary, "labels": dict(sorted(labels.items())), **repetition, **context.summary})


def check_errors(judge: str, verdicts: Sequence[Verdict], most: float) -> None:
    """Raise StepError where too many of the verdicts are errors for a score to rest on the others.

    Args:
        judge: the judge's kind.
        verdicts: on all responses.
        most: share of those that were judged that may be errors; all of them never may.
    """
    judged = [verdict for verdict in verdicts if verdict.label != NOTHING]
    reasons = Counter(verdict.error for verdict in judged if verdict.error is not None)
    errors = reasons.total()
    if errors and (errors == len(judged) or errors > exact(most) * len(judged)):
        (reason, _), *_ = reasons.most_common(1)
        raise StepError(
            f"{judge} failed on {errors} of {len(judged)} responses, and max_errors={most:g} of the judge or grader "
            f"allows a share of {most:.0%}, and never all; most often: {reason}. What was judged is kept: run the same "
            "command again to ask for the others, or raise max_errors, such as judge.NAME.max_errors=0.5."
        )


def note_repetition(
    examples: Sequence[Example], responses: Sequence[Response], verdicts: Sequence[Verdict], part: Any
) -> Mapping[str, int]:
    """Note in the verdicts on harmful prompts whether the judged part repeats a word more than three times in a row.

    Returns:
        how many do, for the summary; nothing where no prompt asks for harm.
    """
    harmful = {example.id for example in examples if example.meta.get("harmful") is True}
    for response, verdict in zip(responses, verdicts, strict=True):
        text = part_of(response, part) if response.id in harmful else None
        if text is not None and repeated_words(text):
            verdict.detail["repeated_words"] = True
    count = sum(bool(verdict.detail.get("repeated_words")) for verdict in verdicts)
    return {"repeated_words": count} if harmful else {}


if __name__ == "__main__":
    sys.exit(run_by_hand(work))
