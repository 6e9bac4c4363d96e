"""How a training is asked to stop: a file in its scratch folder, which it takes away when it has written a checkpoint.

A file reaches all ranks on all nodes, and whoever asks need not know any of their processes.
"""

from __future__ import annotations

from pathlib import Path


def stop_file(scratch: Path) -> Path:
    """Return the file that asks the training with this scratch folder to stop."""
    return scratch / "stop"


def asked_to_stop(scratch: Path) -> bool:
    """Whether somebody asks, and the training has not stopped yet."""
    return stop_file(scratch).exists()
