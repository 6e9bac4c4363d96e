"""The command ``python -m safetax.steps``: its imports, and mistakes on its command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from safetax import steps
from tests.support.places import ROOT


def test_no_torch_is_imported() -> None:
    code = "import sys; from safetax import steps; steps.parser(); import rich.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--kind", "trains"], "invalid choice: 'trains'"),
        (["shwo"], "invalid choice: 'shwo'"),
        (["show"], "the following arguments are required: KEY"),
        (["prune", "--drop-run", "kept", "--keep-run", "kept"], "not allowed with"),
        (["list", "--outputs", "nowhere"], "--outputs nowhere: there is no such folder"),
    ],
)
def test_mistakes_are_one_line_with_code_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = steps.main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    told = capsys.readouterr()
    assert code == 2 and told.out == ""
    assert words in told.err and told.err.count("\n") == 1
