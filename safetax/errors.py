"""Errors whose message is written for the person who runs safetax."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from safetax.formatting import visible

PACKAGES = {
    "deepspeed": "safetax[deepspeed]",
    "latex2sympy2_extended": "latex2sympy2-extended[antlr4-9-3]",
    "lm_eval": "lm-eval",
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


AGAIN = "run the same command again: finished steps are kept"
MISPLACED = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY)
FULL = (errno.ENOSPC, errno.EDQUOT)
# torch's writer of checkpoints tells a write that came out short as one at an unexpected position.
FULL_WORDS = (
    "No space left on device",
    "os error 28",
    "Disk quota exceeded",
    "disk is full",
    "PytorchStreamWriter failed",
    ". unexpected pos ",
)


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk is full; libraries wrap the system's own error in their words."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return any(words in str(error) for words in FULL_WORDS)


def explained(error: BaseException, place: Path | None = None) -> str:
    """Return what an error of the file system means for the user, and the remedy.

    Args:
        error: the error.
        place: what was being written, where the error does not name a file itself.
    """
    # What could not be put into its place is told by that.
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    file = Path(named or place or Path.cwd())
    if is_full(error):
        folder = next(each for each in (file.absolute(), *file.absolute().parents) if each.is_dir())
        free = shutil.disk_usage(folder).free / 1e6
        return f"{file}: the disk is full ({free:,.1f} MB free in {folder}). Make room, then {AGAIN}."
    if isinstance(error, OSError) and error.errno in MISPLACED:
        file = in_the_way(file)
        what = "a folder" if file.is_dir() else "a file"
        return f"{file}: {what} stands in the place of something else; remove it, then {AGAIN}."
    return f"{file}: {getattr(error, 'strerror', None) or error}; mend that, then {AGAIN}."


def in_the_way(path: Path) -> Path:
    """Return the file that stands where a path has a folder; the path itself where none does."""
    return next((each for each in (*reversed(path.parents), path) if each.exists() and not each.is_dir()), path)


def exit_code(work: Callable[[], int], interrupted: str) -> int:
    """Do what a command is to do, print an error of the user's or of the machine's, and return the exit code.

    Args:
        work: the command; returns its exit code.
        interrupted: what is said after Ctrl-C.

    Returns:
        what the command returned; 1: a step, the report or the file system failed; 2: a mistake of the user's; 130:
        interrupted, also while the command was cleaning up.
    """
    try:
        return work()
    except UserError as error:
        return complain(str(error), 2)
    except StepError as error:
        return complain(str(error), 1)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        # Python takes its handlers back as it ends, and another Ctrl-C would then kill it.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        return complain(interrupted, 130)
    except BrokenPipeError:  # whoever read the output has gone, as in `safetax --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return complain(explained(error), 1)


def complain(text: str, code: int) -> int:
    """Print an error for the user, of which nothing works on a terminal, and return an exit code."""
    with contextlib.suppress(OSError):  # the disk that standard output goes to may be full
        sys.stdout.flush()
    print(f"Error: {visible(text)}", file=sys.stderr, flush=True)
    return code


def require(module: str) -> UserError:
    """Return the error for a missing optional library, naming the command that installs it."""
    package = PACKAGES.get(module, module)
    return UserError(f"This needs the library '{module}', which is not installed. Install it: pip install '{package}'")
