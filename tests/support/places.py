"""Where things lie that tests read: the checkout, and public data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

FETCHED = ROOT / "tests" / "data" / "public"
"""Where ``python -m tests.support.public_data`` puts what it fetches."""

SMALL = ROOT / "tests" / "data" / "small"
"""The first rows of sets whose licences allow it; part of the repository."""


def data_folder() -> Path:
    """Return the folder of whole sets: that of ``SAFETAX_TEST_DATA``, else what was fetched, else one beside the
    checkout.
    """
    if named := os.environ.get("SAFETAX_TEST_DATA"):
        return Path(named)
    return FETCHED if FETCHED.is_dir() else ROOT.parent / "shared" / "data"


def public_data(name: str) -> Path:
    """Return the path of a file of public data, the small one where the whole is not there; skips the test where
    neither is.
    """
    for folder in (data_folder(), SMALL):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"needs public data: {name} (python -m tests.support.public_data fetches it)")
