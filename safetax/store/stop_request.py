"""Requests to stop a training: a file in its scratch folder, which it removes when it has written a checkpoint.

A file reaches all ranks on all nodes, and whoever asks need not know any of their processes.
"""

from __future__ import annotations

from pathlib import Path


def stop_file(scratch: Path) -> Path:
    """Return the path of the file whose presence asks the training with this scratch folder to stop."""
    return scratch / "stop"


def asked_to_stop(scratch: Path) -> bool:
    """Whether a training is asked to stop and has not done so yet."""
    return stop_file(scratch).exists()
