"""Marks that a schema puts on its fields with ``typing.Annotated``: ranges, labels and component kinds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Between:
    """A number from ``low`` to ``high``, both allowed unless said otherwise; None is no bound."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False

    def allows(self, value: float) -> bool:
        """Whether the value lies in the range."""
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        return above and (self.high is None or value <= self.high)

    def describe(self) -> str:
        """Return the range in words, such as ``at least 1``."""
        low = None if self.low is None else f"{'more than' if self.open_low else 'at least'} {self.low:.15g}"
        high = None if self.high is None else f"at most {self.high:.15g}"
        return " and ".join(part for part in (low, high) if part)


def AtLeast(low: float) -> Between:  # noqa: N802 - reads as a mark beside Between
    """Return the range of all numbers from ``low``, which is allowed."""
    return Between(low=low)


def MoreThan(low: float) -> Between:  # noqa: N802 - reads as a mark beside Between
    """Return the range of all numbers above ``low``, which is not allowed."""
    return Between(low=low, open_low=True)


@dataclass(frozen=True)
class Label:
    """A display name: shown in tables and plots and part of folder names, no part of any step's identity."""

    def allows(self, value: Any) -> bool:
        """Whether the name can be part of a folder's name."""
        return re.fullmatch(r"\w[\w.+-]*", str(value)) is not None

    def describe(self) -> str:
        """Return in words what the name may be made of."""
        return "made of letters, digits and . _ + -"


@dataclass(frozen=True)
class Kind:
    """A node with several kinds: its ``kind`` names a module of ``safetax.<package>`` or a dotted module path.

    The module's ``Config`` is the node's schema.
    """

    package: str


@dataclass(frozen=True)
class NotHashed:
    """A field that describes what something is, such as a parameter count: no part of any step's identity."""


@dataclass(frozen=True)
class HashedUnless:
    """A field that was added later: with this value a step means what it meant before, and keeps its fingerprint."""

    value: Any
