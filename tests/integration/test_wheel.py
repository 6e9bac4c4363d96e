"""A wheel built from the project works where there is no checkout: it holds the configuration and the plug-ins."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.places import ROOT


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of an environment that holds the wheel and sees this environment's libraries, but no checkout.

    A folder that a .pth file names is searched for modules, while the .pth files in it, such as the checkout's, are not
    read.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_wheel_holds_configuration_and_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert f"safetax/conf/{path.relative_to(ROOT / 'conf').as_posix()}" in names
    assert "safetax/report/page.html.j2" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "launchers/"))]


@pytest.mark.slow
def test_installed_command_runs_the_lab_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "-c", "import safetax; print(safetax.__file__)", cwd=tmp_path).stdout
    assert str(ROOT) not in where
    assert "37 steps" in run(installed, "-m", "safetax", "plan=true", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []
    done = run(installed, "-m", "safetax", "-m", "+experiment=lab_quick", "epochs=0,1", "tracking=off", cwd=tmp_path)
    assert "report.html" in done.stdout
    assert len(list(tmp_path.glob("outputs/sweeps/*/report.html"))) == 1
