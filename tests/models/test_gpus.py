"""The GPUs that a process may use, by what nvidia-smi lists and what the environment leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.models.gpus import Gpu, parse, visible_gpus

LISTING = """0, GPU-aaaa, NVIDIA H200, 143771
1, GPU-bbbb, NVIDIA H200, 143771
2, GPU-cccc, NVIDIA H200, 143771
3, GPU-dddd, NVIDIA H200, 143771
"""


@pytest.mark.parametrize(
    ("visible", "ids"),
    [
        (None, ["0", "1", "2", "3"]),
        ("2,0", ["2", "0"]),
        ("GPU-b,GPU-dddd", ["GPU-b", "GPU-dddd"]),
        ("1,7,2", ["1"]),
        ("", []),
        ("-1", []),
        ("MIG-x", ["MIG-x"]),
    ],
)
def test_gpus_are_those_that_the_environment_leaves(visible: str | None, ids: list[str]) -> None:
    gpus = parse(LISTING, visible)
    assert [gpu.id for gpu in gpus] == ids
    assert all(gpu.memory == 143771 * 2**20 for gpu in gpus if not gpu.id.startswith("MIG"))


def test_a_machine_without_a_driver_or_with_a_broken_one_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    stand_in = tmp_path / "nvidia-smi"
    stand_in.write_text("#!/bin/sh\necho '0, GPU-aaaa, NVIDIA H200, 143771'\n")
    stand_in.chmod(0o755)
    assert visible_gpus() == [Gpu("0", "NVIDIA H200", 143771 * 2**20)]
    stand_in.write_text("#!/bin/sh\necho 'the driver does not answer'\nexit 9\n")
    assert visible_gpus() == []
