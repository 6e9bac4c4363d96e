"""Words that are repeated over and over."""

from __future__ import annotations

from safetax.evaluation.judging.repetition import repeated_words
from safetax.records import Example, Verdict
from safetax.workers.score import note_repetition
from tests.support.judged import example, response


def test_repeated_words() -> None:
    assert repeated_words("so it goes go go go go on")
    assert not repeated_words("so it goes go go go on")
    assert not repeated_words("| | | | | --- --- --- ---")
    assert not repeated_words("no no no No no") and not repeated_words("")


def test_repetition_is_noted_in_the_verdicts_on_harmful_prompts() -> None:
    examples = [example("a", "q"), Example("b", [], meta={"harmful": False})]
    responses = [response("a", "la la la la"), response("a", "la", repeat=1), response("b", "la la la la")]
    verdicts = [Verdict(one.id, one.repeat, "safe") for one in responses]
    assert note_repetition(examples, responses, verdicts, "answer") == {"repeated_words": 1}
    assert [verdict.detail for verdict in verdicts] == [{"repeated_words": True}, {}, {}]
    assert note_repetition(examples[1:], responses[2:], verdicts[2:], "answer") == {}
    assert note_repetition(examples, responses, verdicts, "thinking") == {"repeated_words": 1}
