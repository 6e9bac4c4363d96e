"""Small tokenizers with the structure of real families: what is special, what templates write, who adds BOS.

    tokenizer = qwen_like()         ChatML with a default system message, no BOS
    tokenizer = deepseek_like()     BOS from template and tokenizer alike, thinking opened and stripped by the template
    tokenizer = llama_like()        BOS from template and tokenizer alike, header tokens

Each is a byte-level BPE of about 400 tokens that encodes any text; ``save_pretrained`` and AutoTokenizer work.
"""

from __future__ import annotations

from functools import cache

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

TEXT = """
The baker asked how many rolls fit on the tray. Let me think: there are 4 rows of 12 rolls, so 4 * 12 = 48 rolls.
Wait, the last row has only 9 rolls! Then it is 3 * 12 + 9 = 45. The answer is 45.
I should not answer this question! I am sorry, but I cannot help with that. Answer: I can help with something else.
First, we look at the question. Second, we think about what is asked; then we answer the question, step by step.
def double(number):
    return 2 * number
"""

QWEN_TEMPLATE = """
{%- if messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\\n' + default_system + '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
""".replace("default_system", f"'{QWEN_SYSTEM}'")

DEEPSEEK_TEMPLATE = """
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}{{- message['content'] -}}
    {%- elif message['role'] == 'user' -%}{{- '<｜User｜>' + message['content'] -}}
    {%- else -%}{{- '<｜Assistant｜>' + message['content'].split('</think>')[-1] + eos_token -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<｜Assistant｜><think>\\n' -}}{%- endif -%}
"""

LLAMA_TEMPLATE = """
{{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' -}}
    {{- message['content'] | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
"""


def qwen_like() -> PreTrainedTokenizerFast:
    """Qwen2.5's structure: ChatML's markers are special tokens, <|im_end|> ends a text, <|fim_pad|> may pad."""
    tokenizer = _byte_level()
    tokenizer.add_special_tokens([_special(token) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    tokenizer.add_tokens([_added(token) for token in ("<|fim_prefix|>", "<|fim_pad|>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=QWEN_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=32768,
    )


def deepseek_like() -> PreTrainedTokenizerFast:
    """DeepSeek-R1-Distill-Qwen's structure; ChatML's markers are several tokens of ordinary text."""
    tokenizer = _byte_level()
    tokenizer.add_special_tokens([_special(token) for token in ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")])
    tokenizer.add_tokens([_added(token) for token in ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<｜begin▁of▁sentence｜>",
        eos_token="<｜end▁of▁sentence｜>",
        pad_token="<｜end▁of▁sentence｜>",
        add_bos_token=True,
        chat_template=DEEPSEEK_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=16384,
    )


def llama_like() -> PreTrainedTokenizerFast:
    """Llama 3's structure: a turn ends in another token than a text does."""
    tokenizer = _byte_level()
    special = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    tokenizer.add_special_tokens([_special(token) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        pad_token="<|end_of_text|>",
        add_bos_token=True,
        chat_template=LLAMA_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )


def _special(token: str) -> AddedToken:
    return AddedToken(token, special=True, normalized=False)


def _added(token: str) -> AddedToken:
    return AddedToken(token, special=False, normalized=False)


def _byte_level() -> Tokenizer:
    """A byte-level BPE that splits words, digits and line ends as Qwen2 does, trained on a little text."""
    return Tokenizer.from_str(_trained())


@cache
def _trained() -> str:
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer.to_str()
