"""Paths that a user names: ``~`` expanded, and refused where they can lead nowhere."""

from __future__ import annotations

from pathlib import Path

from safetax.config.messages import show
from safetax.errors import ConfigError


def user_path(text: str, key: str) -> Path:
    """Return the path that a setting names, which need not be there.

    Raises:
        ConfigError: it can be no path here: too long, links that lead in a circle, a home that there is not.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return path
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ConfigError(f"{key}={show(text)}: this path cannot be used ({reason}); name another one.") from None
    return path
