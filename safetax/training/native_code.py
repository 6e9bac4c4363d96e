"""Where DeepSpeed compiles the native code that a training needs: a folder of the attempt's own, kept for later ones.

Torch guards such a folder with a plain file. A process that is killed while it compiles leaves that file behind, and
in a folder shared by all trainings every later one would wait for it without end.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from safetax.store.job import versions

LOCK = "lock"


def cache_folder() -> Path:
    """Return the folder of builds for this processor and these versions of the libraries."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    known = versions()
    made_for = [platform.python_version(), known.get("torch", ""), known.get("deepspeed", ""), _processor(), sys.prefix]
    key = hashlib.sha256("\n".join(made_for).encode()).hexdigest()[:16]
    return home / "safetax" / "native" / key


def _processor() -> str:
    """Return what code compiled for this very processor depends on: one home is often shared by unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))


def prepare_build_folder(folder: Path) -> dict[str, str]:
    """Make the folder that an attempt compiles into, with the cached builds, and return its environment variables."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shutil.copytree(cache_folder(), folder, ignore=shutil.ignore_patterns(LOCK))
    except (OSError, shutil.Error):  # there is nothing yet, or another training is just putting it there
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    # Torch calls the build tool ninja by name; it lies beside the interpreter, which need not be on the path.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")])
    return {"TORCH_EXTENSIONS_DIR": str(folder.absolute()), "PATH": path}


def keep_builds(folder: Path) -> None:
    """Cache what an attempt compiled for later trainings; where that fails they compile it again."""
    for made in folder.glob("*/*.so"):
        kept = cache_folder() / made.parent.name
        if (kept / made.name).is_file() and (kept / made.name).stat().st_mtime_ns >= made.stat().st_mtime_ns:
            continue
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent.parent) as beside:
                new, old = Path(beside) / "new", Path(beside) / "old"
                shutil.copytree(made.parent, new, ignore=shutil.ignore_patterns(LOCK))
                if kept.is_dir():
                    kept.rename(old)
                new.rename(kept)
        except OSError:
            continue
