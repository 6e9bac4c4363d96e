"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yield the path of a temporary file, which takes the place of a file when the block ends without an error.

    Another process that reads the file meanwhile sees the old one or the whole new one; so does whoever comes after a
    kill. An error leaves the old file as it was.

    Args:
        path: the file to write or to replace; its folder is made.
        folder: where the temporary file lies, on the same file system; None: beside the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (folder or path.parent) / f".{path.name}.{uuid.uuid4().hex}"
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
