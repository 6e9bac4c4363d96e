"""Files and folders that a user names: each is one that can be read, or one clear error says why it is not."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from safetax.errors import ConfigError

LARGEST_DATA = 16 * 2**30
"""Bytes of a file of rows, all of which are held in memory."""
LARGEST_TEXT = 64 * 2**20
"""Bytes of a file that is read as one text, such as a definition, a template or a model's configuration."""
SHOWN = 200
"""Characters of a path that a message shows."""

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_REASONS = {
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EACCES: "this account may not read it",
}


def expanded(name: str, key: str) -> Path:
    """Return a path with the user's home put in. Raises ConfigError where it can be no path."""
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise ConfigError(f"{key}={shown(name)}: there is no such user; write the whole path.") from None
    if "\0" in name:
        raise ConfigError(f"{key}={shown(name)}: a path holds no NUL character; write it anew.")
    return path


def user_path(name: str, key: str) -> Path:
    """Return a path that a setting names, which need not be there. Raises ConfigError where it can lead nowhere."""
    path = expanded(name, key)
    kind_of(path, key)
    return path


def kind_of(path: Path, key: str) -> str | None:
    """Return ``file``, ``folder``, or in words what else is there; None: nothing is.

    Raises:
        ConfigError: the path leads nowhere that can be looked at.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
        raise ConfigError(f"{key}={shown(path)}: {why}; name another file or folder.") from None
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def check_file(path: Path, key: str, largest: int | None = LARGEST_DATA) -> None:
    """Check that a path is a regular file of a size that can be read.

    Args:
        path: the file.
        key: what the message calls it.
        largest: bytes that it may have; None: any number.

    Raises:
        ConfigError: it is not there, is no file, may not be read or is too large.
    """
    kind = kind_of(path, key)
    if kind is None:
        raise ConfigError(f"{key}={shown(path)}: there is no such file ({shown(path.absolute())}).")
    if kind != "file":
        named = "a folder" if kind == "folder" else kind
        raise ConfigError(f"{key}={shown(path)}: this is {named}; allowed is a regular file.")
    if not os.access(path, os.R_OK):
        raise ConfigError(f"{key}={shown(path)}: this account may not read it; change its mode, or name another file.")
    size = path.stat().st_size
    if largest is not None and size > largest:
        raise ConfigError(
            f"{key}={shown(path)}: it has {size / 2**20:,.0f} MiB; allowed are up to {largest / 2**20:,.0f}. Name a "
            "smaller file, such as a part of it."
        )


def shown(path: Path | str) -> str:
    """Return a path as a message shows it: without control characters, and not all of a long one."""
    text = "".join(character if character.isprintable() else "?" for character in str(path))
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}..{text[-18:]}"
