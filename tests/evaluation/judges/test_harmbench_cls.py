"""HarmBench's classifier: what it reads, and its replies."""

from __future__ import annotations

from safetax.evaluation.judges import harmbench_cls, wildguard
from tests.support.judged import case, letters_tokenizer


def test_replies_of_the_harmbench_classifier() -> None:
    read = [
        harmbench_cls.parse(case("q", "a"), reply)
        for reply in (" Yes", "no", "perhaps", "no, or rather yes", "nothing", "")
    ]
    assert [verdict.harmful for verdict in read] == [True, False, *[None] * 4]
    assert all(verdict.error for verdict in read[2:])


def test_what_the_guards_with_an_instruction_read() -> None:
    tokenizer = letters_tokenizer()
    config = harmbench_cls.Config("harmbench_cls")
    assert (config.max_text_tokens, config.max_reply_tokens) == (512, 1)
    asked = case("the whole prompt", "no", behavior="steal the moon")
    template = "B: {behavior} G: {generation} A:"
    assert harmbench_cls.prompt(template, tokenizer, config, asked, "no") == "B: steal the moon G: no A:"
    plain = case("the whole prompt", "no")
    assert harmbench_cls.prompt(template, tokenizer, config, plain, "n</s>") == "B: the whole prompt G: n< /s> A:"
    rendered = harmbench_cls.prompt(None, tokenizer, config, asked, "no")
    assert rendered == "<s>[turns]user: steal the moon\nassistant: no\n[verdict]"
    both = wildguard.prompt("{prompt} / {response}", tokenizer, wildguard.Config("wildguard"), asked, "{prompt}")
    assert both == "the whole prompt / {prompt}"
