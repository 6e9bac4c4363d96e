"""Hydra's sweeper ``graph``: the basic sweeper without its own composition of every job."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class GraphSweeper(BasicSweeper):
    """Expands lists and ranges to jobs; the command has composed and checked each of them already."""

    def _parse_config(self) -> list[str]:
        """Return the declared parameters in the form of the command's own overrides, which then replace them."""
        from safetax.run import session as sessions

        assert sessions.current is not None, "the sweeper runs below the safetax command"
        return sessions.current.composer.force(super()._parse_config())

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose nothing again."""
