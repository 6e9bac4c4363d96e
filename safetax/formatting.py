"""How numbers are written for a person: in terminals, tables, captions and on the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safetax.statistics import Estimate, OverSeeds

LONGEST = 1e9
"""Seconds from which on a duration is not told apart any more."""


def clock(seconds: float) -> str:
    """Return a duration in words, such as ``42 s`` or ``3 min 20 s``."""
    if not seconds < LONGEST:
        return "over 30 years"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def bytes_in_words(count: float) -> str:
    """Return a size such as ``2.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Return a duration in the largest unit that it fills, such as ``1.5 min``: for columns, which are compared."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def number(value: float) -> str:
    """Return a number with one decimal place and a true minus sign."""
    return f"{value:.1f}".replace("-", "−") if round(value, 1) else "0.0"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return number(value) if round(value, 1) <= 0 else f"+{number(value)}"


def amount(value: float | None, digits: int = 1, factor: float = 1.0) -> str:
    """Return a number with thousands apart, or a dash where it is not known."""
    return "–" if value is None else f"{value * factor:,.{digits}f}".replace("-", "−")


def interval(score: Estimate | OverSeeds) -> str:
    """Return an interval as ``low to high``."""
    return f"{number(score.low)} to {number(score.high)}"


def with_spread(score: OverSeeds | None, digits: int = 1) -> str:
    """Return a value for a table: of several seeds ``12.3 ± 0.4``, of one ``12.3 [10.1, 14.2]``, a dash of none."""
    if score is None:
        return "–"
    value = f"{score.mean:,.{digits}f}"
    if score.sd is not None:
        return f"{value} ± {score.sd:,.{digits}f}"
    return value if score.exact else f"{value} [{score.low:,.{digits}f}, {score.high:,.{digits}f}]"


def counted(n: int | Sequence[int]) -> str:
    """Return a count, or the counts of several seeds, as ``60`` or ``59 to 60``."""
    counts = [n] if isinstance(n, int) else n
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def share(part: int, whole: int, digits: int) -> str:
    """Return a share in percent, or a dash of nothing."""
    return f"{100 * part / whole:.{digits}f}%" if whole else "–"


def level(confidence: float) -> str:
    """Return a confidence level such as ``95 %``."""
    return f"{100 * confidence:g} %"


def epochs_text(epochs: float | None) -> str:
    """Return an epoch count as short as it is exact: ``2``, ``0.5``; a dash of none."""
    return "–" if epochs is None else f"{epochs:g}"


def epochs_in_words(epochs: float) -> str:
    """Return an epoch count in words, such as ``1 epoch``."""
    return f"{epochs:g} epoch{'' if epochs == 1 else 's'}"


def perplexity_digits(value: float) -> int:
    """Return how many decimal places a perplexity is shown with: none where it is large."""
    return 2 if value < 100 else 0


_CONTROL = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return a text whose control characters are seen and do nothing, such as ``\\x1b`` and ``<U+202E>``.

    They are those of terminals and of the direction of writing, and halves of characters that no file can hold; ends
    of lines and tabs stay.
    """
    return _CONTROL.sub(lambda found: _name(ord(found[0])), text)


def _name(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"<U+{code:04X}>"


def unbroken(text: str) -> str:
    """Return the text with no line break between a number and its % sign."""
    return re.sub(r"(?<=\d) %", "\u00a0%", text)
