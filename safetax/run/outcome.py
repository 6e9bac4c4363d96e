"""What bringing a plan to completion did: which steps were made or reused, and which failed and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from safetax.errors import StepError, UserError
from safetax.store.step import Step


@dataclass
class RunOutcome:
    """What became of the steps of a plan, as a run goes on."""

    executed: list[Step] = field(default_factory=list)
    reused: list[Step] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """What went wrong with a step, by its key."""
    skipped: dict[str, Step] = field(default_factory=dict)
    """Steps that were not begun, since an input failed, by their keys."""
    user_error: bool = False
    """Whether all failures are for the user to mend."""

    def check(self) -> None:
        """Raise for the failures, if any.

        Raises:
            UserError: all failures are for the user to mend.
            StepError: a worker failed otherwise.
        """
        if not self.failed:
            return
        text = "\n".join([*self.failed.values(), "Finished steps are kept; run the same command again to go on."])
        raise UserError(text) if self.user_error else StepError(text)
