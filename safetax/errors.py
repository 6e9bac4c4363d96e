"""Errors whose message is written for the person who runs safetax."""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can mend; shown as its message alone, with exit code 2 and no traceback."""


class ConfigError(UserError):
    """A configuration value that is not allowed; names the key, the value, what is allowed and the remedy."""


class StepError(Exception):
    """A step that failed; its message names the step and its log."""


def require(module: str, package: str) -> UserError:
    """Return the error for a missing optional library, naming the command that installs it."""
    return UserError(f"This needs the library '{module}', which is not installed. Install it: pip install '{package}'")
