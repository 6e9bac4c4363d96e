"""Content hashes of large files, remembered by place, size and time, so that weights are not read at every plan."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from safetax.store.manifest import read_json, sha256_of, write_json

SMALL = 16_000_000
"""Bytes up to which a file is simply hashed."""


def memory() -> Path:
    """Return the file that remembers."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "safetax" / "hashes.json"


def remembered_sha256(path: Path) -> str:
    """Return the sha256 of a file in hex; a large one that has not changed since it was last asked is not read."""
    status = path.stat()
    if status.st_size <= SMALL:
        return sha256_of(path)
    key = str(path.resolve())
    stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
    known = (read_json(memory()) or {}).get(key)
    if known is not None and known[:3] == stamp:
        return str(known[3])
    digest = sha256_of(path)
    with contextlib.suppress(OSError):  # a home that cannot be written to only costs time
        write_json(memory(), {**(read_json(memory()) or {}), key: [*stamp, digest]})
    return digest
