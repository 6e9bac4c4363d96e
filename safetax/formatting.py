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
