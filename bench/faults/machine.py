"""Machines that misbehave: a full disk, a clock that runs backwards, and two hosts at one outputs folder."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

from bench.faults.case import Case
from bench.faults.graphs import HERE
from bench.faults.outputs import finished
from bench.faults.processes import descendants, send

ELSEWHERE = {"PYTHONPATH": str(HERE / "elsewhere")}
"""Environment in which ``sitecustomize.py`` of that folder changes the clock or the host's name."""


def can_mount() -> bool:
    """Whether this process may mount a disk of its own."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


def full(case: Case) -> None:
    """Let the disk run full somewhere in a run, and make room for the next."""
    case.begin(keep=0.5)
    case.what += "a disk that runs full, "
    kept = case.folder / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    case.outputs.rename(kept)
    case.outputs.mkdir()
    used = sum(path.stat().st_size + 4096 for path in kept.rglob("*")) + 100_000
    spare = case.random.randrange(4096, used)
    case.what += f"{spare / 1000:.0f} kB left on the disk"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + 4_000_000}", "none", str(case.outputs)], check=True)
    try:
        shutil.copytree(kept, case.outputs, dirs_exist_ok=True)
        taken = used + 4_000_000 - shutil.disk_usage(case.outputs).free
        subprocess.run(["mount", "-o", f"remount,size={taken + spare}", str(case.outputs)], check=True)
        ended = case.command(name="full")
        case.what += f", exit code {ended.code}"
        if ended.code and "disk is full" not in ended.err:
            case.wrong.append(f"it does not say that the disk is full: {ended.err[-500:]}")
        if ended.code not in (0, 1):
            case.wrong.append(f"it ended with {ended.code}")
        subprocess.run(["mount", "-o", "remount,size=100m", str(case.outputs)], check=True)
        case.settle(finished(case.outputs))
    finally:
        subprocess.run(["umount", "--lazy", str(case.outputs)], check=True)


def backwards(case: Case) -> None:
    """Have the clock run backwards and jump, and leave files of another time."""
    case.what = "a clock that runs backwards"
    case.begin(keep=0.6)
    if case.random.random() < 0.5:
        case.what += ", and locks touched next year"
        for path in (case.outputs / "locks").iterdir():
            os.utime(path, (time.time() + 3e7, time.time() + 3e7))
    sound = finished(case.outputs)
    seed = str(case.random.randrange(10**6))
    ended = case.command({**ELSEWHERE, "FAULTS_CLOCK": seed}, name="first")
    if ended.code:
        case.wrong.append(f"it ended with {ended.code}: {ended.err[-300:]}")
    case.settle({**sound, **finished(case.outputs)})


def hosts(case: Case) -> None:
    """Run two hosts at once whose kernels do not see each other's locks; perhaps one of them dies."""
    dies = case.random.random() < 0.5
    case.what = f"two hosts{', one of which dies' if dies else ''}"
    case.begin(keep=0.5)
    sound = finished(case.outputs)
    runs = []
    for name in ("one", "two"):
        environment = {**ELSEWHERE, "FAULTS_HOST": f"host-{name}", "FAULTS_LEASE": "6"}
        runs.append((case.start(name, environment), name))
        time.sleep(case.random.uniform(0, 2))
    if dies:
        time.sleep(case.random.uniform(0, 8))
        first = runs[0][0]
        for pid in [*descendants(first.pid), first.pid]:
            send(pid, signal.SIGKILL)
    codes = [case.end(process, name).code for process, name in runs]
    if codes[1] or (codes[0] and not dies):
        case.wrong.append(f"they ended with {codes}")
    case.settle({**sound, **finished(case.outputs)})


def leased(case: Case) -> None:
    """Leave the lock of a step with another host: one that lives for a while, or one that is dead."""
    dropped = case.begin(keep=0.7)
    key = case.random.choice(dropped)
    lives = case.random.random() < 0.5
    case.what += f"the lock of {key} with another host that {'works for a while' if lives else 'is dead'}"
    lock = case.outputs / "locks" / key.replace("/", "-")
    lock.write_text(json.dumps({"process": 7, "host": "elsewhere", "job": None, "token": "t"}))
    over = threading.Event()

    def beat(rest: float) -> None:
        until = time.monotonic() + rest
        while time.monotonic() < until and not over.wait(1.0):
            os.utime(lock)
        lock.write_text("")

    thread = threading.Thread(target=beat, args=(random.Random(key).uniform(2, 10),))
    if lives:
        thread.start()
    sound = finished(case.outputs)
    ended = case.command({**ELSEWHERE, "FAULTS_LEASE": "4"}, name="first")
    over.set()
    if lives:
        thread.join()
    if ended.code:
        case.wrong.append(f"it ended with {ended.code}: {ended.err[-300:]}")
    case.settle({**sound, **finished(case.outputs)})
