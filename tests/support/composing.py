"""Composing a configuration in a test, and what its complaint lacks."""

from __future__ import annotations

import pytest

from safetax.config.compose import Composer
from safetax.errors import ConfigError

EPOCHS = "expected a number, at least 0 and at most 10000."


def message(composer: Composer, *overrides: str, multirun: bool = False) -> str:
    with pytest.raises(ConfigError) as raised:
        composer.jobs(overrides, multirun)
    return str(raised.value)


def lacking(text: str, parts: list[str]) -> list[str]:
    return [part for part in parts if part not in text]
