"""Errors whose message is written for the person who runs safetax."""

from __future__ import annotations

import sys

from safetax.formatting import visible

PACKAGES = {
    "deepspeed": "safetax[deepspeed]",
    "lm_eval": "lm-eval",
    "math_verify": "math-verify[antlr4-9-3]",
    "openai": "openai>=3",
    "submitit": "safetax[slurm]",
    "vllm": "safetax[vllm]",
}
"""What pip calls a module, where that differs."""


class UserError(Exception):
    """Something that the user can mend; shown as its message alone, with exit code 2 and no traceback."""


class ConfigError(UserError):
    """A configuration value that is not allowed; names the key, the value, what is allowed and the remedy."""


class StepError(Exception):
    """A step that failed, by no mistake in the configuration; its message says why, with exit code 1."""


def complain(error: Exception | str) -> None:
    """Print an error for the user, on standard error; nothing in it works on a terminal."""
    sys.stdout.flush()
    print(f"Error: {visible(str(error))}", file=sys.stderr, flush=True)


def require(module: str) -> UserError:
    """Return the error for a missing optional library, naming the command that installs it."""
    package = PACKAGES.get(module, module)
    return UserError(f"This needs the library '{module}', which is not installed. Install it: pip install '{package}'")
