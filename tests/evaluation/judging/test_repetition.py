"""Words that are repeated over and over."""

from __future__ import annotations

import pytest

from safetax.evaluation.judging.repetition import repeated_words
from safetax.records import Example, Verdict
from safetax.workers.score import note_repetition
from tests.support.judged import example, response


@pytest.mark.parametrize(
    "text",
    [
        "so it goes go go go go on",
        "yes, yes; yes! yes",
        "ok 1 ok 2 ok 3 ok",
        "No no NO nO",
        "no no\n\nno\tno",
        "ha-ha-ha-ha",
        "**stop** _stop_ (stop) stop.",
        "go. 1. go. 2. go. 3. go.",
        "日本 la 日本 la 日本 la la",
    ],
)
def test_a_word_more_than_three_times_in_a_row_is_repeated(text: str) -> None:
    assert repeated_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "so it goes go go go on",
        "a b a b a b a b",
        "no no no know no",
        "| | | | | --- --- --- ---",
        "1 1 1 1 1",
        "don't don't don't don't",  # two words each, as published
        "naïve naïve naïve naïve",  # nor is what a letter beyond Z parts
        "lala lala lala la",
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert not repeated_words(text)


def test_repetition_is_noted_in_the_verdicts_on_harmful_prompts() -> None:
    examples = [example("a", "q"), Example("b", [], meta={"harmful": False})]
    responses = [response("a", "la la la la"), response("a", "la", repeat=1), response("b", "la la la la")]
    verdicts = [Verdict(one.id, one.repeat, "safe") for one in responses]
    assert note_repetition(examples, responses, verdicts, "answer") == {"repeated_words": 1}
    assert [verdict.detail for verdict in verdicts] == [{"repeated_words": True}, {}, {}]
    assert note_repetition(examples[1:], responses[2:], verdicts[2:], "answer") == {}
    assert note_repetition(examples, responses, verdicts, "thinking") == {"repeated_words": 1}
