"""Errors that a user is shown: which exit code, one message, and what an interruption does."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from safetax.config.hydra import _folders_made
from safetax.errors import ConfigError, StepError, UserError, exit_code, explained, is_full
from tests.support.places import ROOT


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("mend this"), 2, "mend this"),
        (StepError("a step failed"), 1, "a step failed"),
        (OSError(errno.EACCES, "Permission denied", "/nowhere/file"), 1, "/nowhere/file: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", str(ROOT)), 1, f"{ROOT}: the disk is full ("),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    assert exit_code(work, "interrupted") == code
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(f"Error: {words}") and told.err.count("\n") == 1


def test_what_stands_in_the_place_of_a_file_is_named_not_the_file_that_was_to_go_there(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "written").write_text("")
    with pytest.raises(OSError) as caught:
        (tmp_path / "written").replace(tmp_path / "page")
    assert explained(caught.value).startswith(f"{tmp_path / 'page'}: a folder stands in the place of something else;")


@pytest.mark.parametrize(
    "words",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "[enforce fail at inline_container.cc:672] . unexpected pos 77440 vs 77332",
        "[enforce fail at inline_container.cc:862] . PytorchStreamWriter failed writing file data/7: file write failed",
        "(sqlite3.OperationalError) database or disk is full",
    ],
)
def test_a_full_disk_is_known_in_a_librarys_words(words: str) -> None:
    error = RuntimeError(words)
    assert is_full(error) and not is_full(RuntimeError("no room"))
    assert not is_full(RuntimeError("[enforce fail at inline_container.cc:118] . PytorchStreamReader failed reading"))
    assert explained(error, ROOT / "model").startswith(f"{ROOT / 'model'}: the disk is full (")


INTERRUPTED = """
import signal, sys, time
from safetax.errors import exit_code

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it would be ignored

def work():
    try:
        print("at work", flush=True)
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        time.sleep(SECONDS)

code = exit_code(work, "interrupted.")
print("told", flush=True)
time.sleep(SECONDS)
sys.exit(code)
"""


@pytest.fixture
def command() -> Iterator[subprocess.Popen[str]]:
    code = INTERRUPTED.replace("SECONDS", "60")
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def interrupt(process: subprocess.Popen[str], line: str) -> None:
    """Interrupt a command when it has printed a line and is in the sleep behind it."""
    assert process.stdout is not None and process.stdout.readline() == f"{line}\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)


def test_a_second_interruption_while_it_cleans_up_ends_it_with_130(command: subprocess.Popen[str]) -> None:
    interrupt(command, "at work")
    interrupt(command, "cleaning up")
    interrupt(command, "told")
    _, said = command.communicate(timeout=30)
    assert command.returncode == 130 and said == "Error: interrupted.\n"


ENDING = """
import os, signal, sys, time
from safetax.errors import exit_code

class Last:
    def __del__(self):  # Python has taken its signal handlers back
        os.write(1, b"ending\\n")
        time.sleep(1)

def work():
    raise KeyboardInterrupt

last = Last()
sys.exit(exit_code(work, "interrupted."))
"""


def test_an_interruption_while_python_ends_changes_no_exit_code() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDING], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    interrupt(process, "ending")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and said == "Error: interrupted.\n"


def test_the_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as told:
        (tmp_path / "file" / "below").mkdir(parents=True)
    assert explained(told.value).startswith(
        f"{tmp_path / 'file'}: a file stands in the place of something else; remove"
    )


def test_a_folder_in_the_place_of_a_file_of_hydras_is_named_with_the_remedy(tmp_path: Path) -> None:
    place = tmp_path / "config.yaml"
    place.mkdir()
    told = pytest.raises(UserError, match=r"config.yaml: a folder stands in the place of something else; remove it")
    with told, _folders_made(tmp_path):
        place.write_text("")


@pytest.mark.parametrize("below", ["", "hydra", "runs/one"])
def test_a_file_in_the_place_of_a_folder_is_named_with_what_mends_it(tmp_path: Path, below: str) -> None:
    file = tmp_path / "sweeps"
    file.write_text("of somebody's")
    with pytest.raises(UserError) as raised, _folders_made(tmp_path):
        (file / below).mkdir(parents=True, exist_ok=True)
    told = str(raised.value)
    assert told.startswith(f"{file}: a file stands in the place of a folder; name another one with runtime.outputs")
    assert told.endswith("remove it.")
