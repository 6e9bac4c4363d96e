r"""One notation for what answers are written in: LaTeX, Unicode, plain text.

What only shapes an answer goes (spacing, dollar signs, sizes of brackets, degree signs), and what can be written in
several ways is written in one: ``½`` and ``\frac12`` are ``\frac{1}{2}``, ``x²`` is ``x^{2}``, ``≤`` is ``\le``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

TEXT = r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|operatorname|textit|mathit)(?![A-Za-z])\s*"
"""A command that sets what is in its braces in another font."""

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_WIDE |= {ord(wide): ord(plain) for wide, plain in {"\u3000": " ", "。": ".", "、": ",", "【": "[", "】": "]"}.items()}
_SIGNS = {
    **dict.fromkeys("−–‒﹣", "-"),
    **dict.fromkeys("·⋅∙•", r"\cdot "),
    **dict.fromkeys("\u00a0\u2009\u202f\u2007\u200a", " "),
    **dict.fromkeys("\u200b\u2060\ufeff", ""),
    "°": r"^\circ ",
    "×": r"\times ",
    "÷": "/",
    "⁄": "/",
    "∕": "/",
    "±": r"\pm ",
    "∞": r"\infty ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "⩽": r"\le ",
    "⩾": r"\ge ",
    "∈": r"\in ",
    "∪": r"\cup ",
    "∨": ",",
    "∖": r"\setminus ",
    "∅": r"\emptyset ",
    "ø": r"\emptyset ",
    "ℝ": r"\mathbb{R}",
    "…": "...",
    "∛": r"\sqrt[3]",
    "∜": r"\sqrt[4]",
}
_GREEK = {
    chr(code): "\\" + name.lower().rpartition(" ")[2] + " "
    for code in range(0x03B1, 0x03CA)
    if (name := unicodedata.name(chr(code))).count(" ") == 3 and chr(code) != "ο"
}
_PLAIN = str.maketrans({**_SIGNS, **_GREEK})
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_ARGUMENT = r"(\d+(?:\.\d+)?|[A-Za-z]|\\(?:pi|theta|alpha|beta)(?![A-Za-z]))"

_REWRITTEN: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"(?<!\\)\$|\\[()\[\]](?![^\n]*\\end)", ""),
    (r"\\\$|[€£¥₹]", ""),
    (r"\\(?:left|right|[Bb]igg?[lr]?|displaystyle|limits|qquad|quad)(?![A-Za-z])", " "),
    (r",\\!\s*(?=\d)", ","),
    (r"(?<!\\)\\[!,;:]|\{,\}(?=\d)", lambda match: "," if match[0] == "{,}" else " "),
    (r"(?<!\\)\\ |~", " "),
    (r"\\[lr]brace(?![A-Za-z])", lambda match: r"\{" if match[0] == r"\lbrace" else r"\}"),
    (r"\\(?:mathrm|text|mathit|operatorname|textit)\s*\{\s*([eidπ])\s*\}|\\rm\s+([ei])(?![A-Za-z])", r"\1\2 "),
    (r"\\imath(?![A-Za-z])", "i"),
    (r"\\[lr]angle(?![A-Za-z])", lambda match: "(" if match[0] == r"\langle" else ")"),
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (r"(\\frac|\\sqrt)\s+(?=[\d{\\A-Za-z])", r"\1"),
    (r"\\frac(\d|[A-Za-z])\s*(\d|[A-Za-z](?![A-Za-z]))", r"\\frac{\1}{\2}"),
    (r"\\frac(\d|[A-Za-z])\s*(?=\{)", r"\\frac{\1}"),
    (r"\\frac\s*(\\pi)\s*(?=[\d{])", r"\\frac{\1}"),
    (r"(\\frac\{[^{}]*\})\s*(\d|[A-Za-z](?![A-Za-z])|\\pi)", r"\1{\2}"),
    (rf"\\sqrt{_ARGUMENT}", r"\\sqrt{\1}"),
    (rf"√\s*{_ARGUMENT}", r"\\sqrt{\1}"),
    (r"(√|\\sqrt\[\d\]|(?<![\\A-Za-z])sqrt)\s*[({]([^(){}]*)[)}]", lambda match: f"{_root(match[1])}{{{match[2]}}}"),
    (rf"(\\sqrt\[\d\])\s*{_ARGUMENT}", r"\1{\2}"),
    (r"\b(?:the\s+)?square root of (\d+)\b", r"\\sqrt{\1}"),
    (r"\b(?:negative|minus)\s+(?=\d)", "-"),
    (r"\b(\w+)\s*\(?\s*(?:in\s+)?base[ -](\w+)\)?", r"\1_{\2}"),
    (r"(?<=\d)\s*(?:per\s?cent|pct)\b", r"\\%"),
    (
        r"(\\(?:sin|cos|tan|cot|sec|csc))\s*[({]?\s*(\d+(?:\.\d+)?)\s*"
        r"(?:\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degrees?(?![A-Za-z]))\s*[)}]?",
        r"\1(\\frac{\2\\pi}{180})",
    ),
    (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degrees?(?![A-Za-z])", ""),
    (r"\\(?:leq|leqslant)(?![A-Za-z])|<=", r"\\le "),
    (r"\\(?:geq|geqslant)(?![A-Za-z])|>=", r"\\ge "),
    (r"\\(?:neq|not\s*=)(?![A-Za-z])|!=", r"\\ne "),
    (r"\\lt(?![A-Za-z])", "<"),
    (r"\\gt(?![A-Za-z])", ">"),
    (r"\*\*", "^"),
    (r"(?<![\\A-Za-z])(pi|infty|cup)(?![A-Za-z])", r"\\\1 "),
    (r"(?<![\\A-Za-z])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
    (r"\+\s*\\infty", r"\\infty"),
    (r"\{([bvB])matrix\}", "{pmatrix}"),
    (r"\\(?:text|mbox|textrm|mathrm)\s*\{\s*,?\s*(?:and|or)\s*\}|(?<=[\s\d)}\]])\b(?:and|or)\b(?=[\s\\(\[\d-])", ","),
    (r"\\(?:lor|vee|land|wedge)(?![A-Za-z])|;", ","),
    (
        rf"(?i)^(?:(?:the|an)\s+)?(?:{TEXT}\{{)?\s*(?:the\s+|an\s+)?(?:empty\s+set|no\s+(?:real\s+)?solutions?)\s*\}}?$",
        r"\\emptyset",
    ),
    (r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset "),
    (
        rf"(?i)^(?:{TEXT}\{{)?\s*all\s+real(?:s|\s+numbers)\s*\}}?$|\\(?:mathbb|mathbf)\s*\{{?R\}}?|\\R(?![A-Za-z])",
        r"\\mathbb{R} ",
    ),
    (r"\\(?:backslash|smallsetminus)(?![A-Za-z])", r"\\setminus "),
    (r"\s+", " "),
    (r",\s*,", ","),
)
_COMPILED = [(re.compile(pattern), put) for pattern, put in _REWRITTEN]


def plain_width(text: str) -> str:
    """Return a text with full-width letters, digits and signs as plain ones, a Chinese full stop included."""
    return text.translate(_WIDE)


def cleaned(text: str) -> str:
    """Return an answer in one notation, without what only shapes it and without a full stop at its end."""
    text = _spelled(plain_width(text)).translate(_PLAIN)
    for pattern, put in _COMPILED:
        text = pattern.sub(put, text)
    text = text.strip().strip("*").strip()
    text = re.sub(r"(?<=[^.])\.$|^[:=]\s*|[;,]$", "", text).strip()
    return re.sub(r"^\\approx\s*|(?<=\S)\s*\\approx.*$", "", text).strip()


def _spelled(text: str) -> str:
    """Return a text whose single characters for fractions, powers, indices and repeated digits are spelled out."""
    text = re.sub("[¼-¾⅐-⅞↉]", _fraction, text)
    text = re.sub(f"[{''.join(_RAISED)}]+", lambda match: f"^{{{''.join(_RAISED[sign] for sign in match[0])}}}", text)
    text = re.sub(f"[{''.join(_LOWERED)}]+", lambda match: f"_{{{''.join(_LOWERED[sign] for sign in match[0])}}}", text)
    return re.sub("(?:\\d[\u0305\u0307])+", lambda match: f"\\overline{{{re.sub('[^0-9]', '', match[0])}}}", text)


def _fraction(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return rf"\frac{{{above}}}{{{below}}}"


def _root(written: str) -> str:
    return written if written.startswith("\\") else r"\sqrt"
