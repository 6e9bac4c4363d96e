"""The GPUs that this process may use, listed by nvidia-smi, which makes no CUDA context on any of them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """A GPU; ``id`` is what CUDA_VISIBLE_DEVICES calls it, ``memory`` is in bytes, None where it is not known."""

    id: str
    name: str
    memory: float | None


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; none where there is no driver."""
    try:
        listed = subprocess.run(QUERY, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(listed.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse(listing: str, visible: str | None) -> list[Gpu]:
    """Return the GPUs of a listing of nvidia-smi that are visible.

    Args:
        listing: lines ``index, uuid, name, memory in MiB``.
        visible: indices or ids, as in CUDA_VISIBLE_DEVICES; what follows one that is not there does not count.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines() if line.count(",") == 3]
    if visible is None:
        return [Gpu(index, name, _bytes(memory)) for index, _, name, memory in rows]
    found = []
    for wanted in (entry.strip() for entry in visible.split(",")):
        if wanted.startswith("MIG-"):
            found.append(Gpu(wanted, "MIG", None))
            continue
        row = next((row for row in rows if wanted == row[0] or (wanted and row[1].startswith(wanted))), None)
        if row is None:
            break
        found.append(Gpu(wanted, row[2], _bytes(row[3])))
    return found


def _bytes(mebibytes: str) -> float | None:
    return float(mebibytes) * 2**20 if mebibytes.replace(".", "").isdigit() else None
