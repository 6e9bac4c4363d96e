"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from safetax.errors import FULL, MISPLACED, UserError, explained


@contextlib.contextmanager
def replacing(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yield the path of a temporary file, which takes the place of a file when the block ends without an error.

    Another process that reads the file meanwhile sees the old one or the whole new one; so does whoever comes after a
    kill. An error leaves the old file as it was.

    Args:
        path: the file to write or to replace; its folder is made.
        folder: where the temporary file lies, on the same file system; None: beside the file.

    Raises:
        UserError: a folder stands in the place of the file, or a file in that of its folder.
        OSError: the file cannot be written; the error names it.
    """
    temporary = (folder or path.parent) / f".{path.name}.{uuid.uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and (error.filename == str(temporary) or error.errno in FULL):
            error = OSError(error.errno, error.strerror, str(path))  # a write names no file by itself
        if isinstance(error, OSError) and error.errno in MISPLACED:
            raise UserError(explained(error)) from None
        raise error


def discard(path: Path) -> None:
    """Remove a file, a link, or a folder with all that it holds; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
