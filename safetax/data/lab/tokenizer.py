"""The lab's tokenizer: one token for each word, punctuation mark, digit and chat marker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safetax.data.lab import words

if TYPE_CHECKING:
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
    return sorted(set(re.findall(r"[a-z]+|[^a-z\s]", re.sub(r"\{\w+\}", " ", text))))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer, the same in every world.

    It has no unknown token: text with a word that is not of the lab raises, so no such word is passed over silently.
    """
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = [PAD, *MARKERS, *THINKING_TAGS, *vocabulary()]
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}))
    tokenizer.normalizer = normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (PAD, *MARKERS)])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in THINKING_TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token="<|im_end|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
