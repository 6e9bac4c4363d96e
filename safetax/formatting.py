"""How numbers are written for a person."""

from __future__ import annotations

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
