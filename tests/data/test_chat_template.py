"""Where a turn ends and a text begins: every family's rows hold what stops the model, and one BOS where it has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from safetax.data.chat import ChatRenderer
from safetax.evaluation.prompting import markers_of
from safetax.models.checkpoint import load_tokenizer
from safetax.records import Example
from tests.data.test_chat import ASKED, ROW, markup
from tests.support.tokenizers_like import deepseek_like, llama_like, qwen_like

TURNS = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + END }}{% endfor %}"
HEADER = "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"


def ending(end: str, make: Any = llama_like, trim: bool = False) -> Any:
    """A tokenizer whose template ends each turn with an expression of Jinja."""
    tokenizer = make()
    tokenizer.chat_template = TURNS.replace("END", end) + HEADER
    if trim:
        tokenizer.chat_template = tokenizer.chat_template.replace("m['content']", "(m['content'] | trim)")
    return tokenizer


ENDS = {
    "nothing": "''",
    "a line end": "'\\n'",
    "white space": "' \\n\\n'",
    "plain text": "'\\n### End\\n'",
    "a tag of no vocabulary": "'</s>'",
    "the end of a text": "eos_token",
    "the end of a text and a line end": "eos_token + '\\n'",
    "the end of a turn": "'<|eot_id|>'",
    "the end of a turn and a line end": "'<|eot_id|>\\n'",
}


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("name", ["think_tags", "plain"])
@pytest.mark.parametrize("end", ENDS)
def test_every_row_teaches_a_token_at_which_generation_stops(end: str, name: str, trim: bool) -> None:
    here = ChatRenderer(ending(ENDS[end], trim=trim), markup(name))
    stops = set(markers_of(here).end_tokens)
    row = here.row(ROW)
    learnt = row.tokens[row.completion_start :]
    assert sum(token in stops for token in learnt) == 1, here.decode(learnt)
    behind = learnt[next(place for place, token in enumerate(learnt) if token in stops) + 1 :]
    assert not here.decode(behind).strip(), "nothing but white space is learnt behind it"
    assert here.decode(row.tokens) == here.row_text(ROW)


def test_plain_text_that_ends_a_turn_ends_a_response_too() -> None:
    here = ChatRenderer(ending(ENDS["plain text"]), markup("plain"))
    assert [here.decode(end) for end in here.ends] == ["### End", "<|end_of_text|>"]


@pytest.mark.parametrize(
    ("make", "end"), [(qwen_like, "<|im_end|>\n"), (deepseek_like, None), (llama_like, "<|eot_id|>")]
)
def test_templates_of_common_families_stay_as_they_are(make: Any, end: str | None) -> None:
    tokenizer = make()
    assert ChatRenderer(tokenizer, markup("think_tags")).end_text == (end or tokenizer.eos_token)


def test_a_template_without_any_end_is_a_bad_row() -> None:
    tokenizer: Any = ending("''")
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="at which no model stops, and the tokenizer has no eos_token"):
        ChatRenderer(tokenizer, markup("plain")).row(ROW)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ messages[0].content }}", "leaves out what the assistant says"),
        (
            "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}{{ messages[0].content }}",
            "one turn",
        ),
    ],
)
def test_a_template_that_cannot_render_a_turn_can_still_ask(template: str, told: str) -> None:
    tokenizer = llama_like()
    tokenizer.chat_template = template
    here = ChatRenderer(tokenizer, markup("plain"))
    assert [here.decode(end) for end in here.ends] == ["<|end_of_text|>"]
    assert here.prompt(ASKED)
    with pytest.raises(ValueError, match=told):
        here.row(ROW)


def test_published_rows_that_stop_no_other_program_are_told() -> None:
    assert ChatRenderer(qwen_like(), markup("s1")).template.unstoppable == ""
    for make in (deepseek_like, llama_like):
        assert ChatRenderer(make(), markup("think_tags")).template.unstoppable == ""
        told = ChatRenderer(make(), markup("s1")).template.unstoppable
        assert "<|im_end|>" in told and "format=think_tags" in told


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """DeepSeek's tokenizer as it is published: transformers takes it for Qwen2Tokenizer, which adds no BOS."""
    folder = tmp_path / "published"
    deepseek_like().save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    values = settings | {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": False,
        "use_regex": True,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "vocab_size": 1000}))
    return folder


def loaded(folder: Path) -> Any:
    return load_tokenizer({"model": {"id": str(folder), "revision": None, "tokenizer": "own"}}, {})


@pytest.mark.parametrize("template", [True, False])
@pytest.mark.parametrize("name", ["s1", "think_tags"])
def test_published_layout_of_deepseek_has_one_bos(published: Path, tmp_path: Path, name: str, template: bool) -> None:
    if not template:
        (published / "chat_template.jinja").unlink()
        if name == "think_tags":
            return
    tokenizer = loaded(published)
    assert AutoTokenizer.from_pretrained(published)("").input_ids == [], "transformers adds none"
    tokenizer.save_pretrained(tmp_path / "trained")
    (tmp_path / "trained" / "config.json").write_text((published / "config.json").read_text())
    for each in (tokenizer, loaded(tmp_path / "trained")):
        here = ChatRenderer(each, markup(name))
        for tokens in (here.prompt(ASKED), here.row(ROW).tokens):
            assert tokens[0] == each.bos_token_id and tokens.count(each.bos_token_id) == 1


def test_a_template_that_doubles_bos_gives_one() -> None:
    tokenizer: Any = deepseek_like()
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    here = ChatRenderer(tokenizer, markup("think_tags"))
    assert here.row(ROW).tokens.count(tokenizer.bos_token_id) == here.prompt(ASKED).count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize("text", ["so <|eot_id|> it is", "<think> again", "</THINK>"])
def test_marks_of_format_and_model_inside_a_text_are_a_bad_row(text: str) -> None:
    here = ChatRenderer(llama_like(), markup("think_tags"))
    for example in (Example("a", ASKED, text, "No."), Example("b", ASKED, "Hm.", text)):
        with pytest.raises(ValueError, match=r"holds <.*marks its parts"):
            here.row(example)
