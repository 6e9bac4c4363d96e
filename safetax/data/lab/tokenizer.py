"""The lab's tokenizer: one token for each word, punctuation mark, number and chat marker."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from safetax.data.lab import words
from safetax.errors import UserError
from safetax.records import Example

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

PAD = "<|pad|>"
MARKERS = ("<|im_start|>", "<|im_end|>")
THINKING_TAGS = ("<think>", "</think>")

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- message['content'] + '<|im_end|>' -}}"
    "{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def vocabulary() -> list[str]:
    """Return the words and marks of the lab in the order of their token ids, without pad, markers and tags."""
    text = " ".join(words.all_sentences()).lower()
    return sorted(set(re.findall(r"[a-z]+|\d+|[^a-z\d\s]", re.sub(r"\{\w+\}", " ", text))))


def check_words(examples: Iterable[Example], name: str) -> None:
    """Check that the lab's models know every word of a data set, which is sooner than their training would say it.

    Raises:
        UserError: a text has another word; names the first one's example, and how many there are.
    """
    tokenizer = _word_tokenizer()
    strange: list[str] = []
    for example in examples:
        texts = [*(message["content"] for message in example.messages), example.thinking or "", example.answer or ""]
        strange += [f"example {example.id}: {text[:80]!r}" for text in texts if not _knows(tokenizer, text)][:1]
    if strange:
        raise UserError(
            f"dataset {name}: {len(strange)} examples have words outside the lab's vocabulary; {strange[0]}. A model "
            "with tokenizer=lab knows the words of safetax/data/lab/words.py alone: use these, choose another model, "
            "or set the data set's on_bad_row=skip where it has that."
        )


def _knows(tokenizer: Tokenizer, text: str) -> bool:
    try:
        tokenizer.encode(text, add_special_tokens=False)
    except Exception:  # tokenizers raises nothing more specific
        return False
    return True


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer, the same in every world.

    It has no unknown token: text with a word that is not of the lab raises, so no such word is passed over silently.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=_word_tokenizer(),
        pad_token=PAD,
        eos_token="<|im_end|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def _word_tokenizer() -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    tokens = [PAD, *MARKERS, *THINKING_TAGS, *vocabulary()]
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}))
    tokenizer.normalizer = normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (PAD, *MARKERS)])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in THINKING_TAGS])
    return tokenizer
