"""Cached content hashes of large files, by path, size and time, so that weights are not read at every plan."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from safetax.errors import UserError
from safetax.store.manifest import read_json, sha256_of, write_json

UNCACHED = 16_000_000
"""Bytes up to which a file is simply hashed."""


def cache_file() -> Path:
    """Return the file of this user that keeps the hashes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "safetax" / "hashes.json"


def cached_sha256(path: Path) -> str:
    """Return the sha256 of a file in hex; a large one is read again only if its size, time or inode have changed."""
    status = path.stat()
    if status.st_size <= UNCACHED:
        return sha256_of(path)
    key = str(path.resolve())
    stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
    known = (read_json(cache_file()) or {}).get(key)
    if isinstance(known, list) and known[:3] == stamp and len(known) == 4:
        return str(known[3])
    digest = sha256_of(path)
    with contextlib.suppress(OSError, UserError):  # a home that cannot be written to only costs time
        write_json(cache_file(), {**(read_json(cache_file()) or {}), key: [*stamp, digest]})
    return digest
