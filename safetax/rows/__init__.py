"""Row sources: where a recipe's raw rows come from. Each module has a ``Config`` and ``load(config)``."""

from __future__ import annotations

import sys
from typing import Any


def load_rows(config: Any) -> list[dict[str, Any]]:
    """Load the raw rows of a row source from the module that its config belongs to."""
    return sys.modules[type(config).__module__].load(config)
