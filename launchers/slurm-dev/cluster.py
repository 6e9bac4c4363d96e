"""A Slurm of one machine, for trying and testing what runs on a cluster.

``python launchers/slurm-dev/cluster.py start DIR`` starts a controller and a daemon for each node, as this user,
without systemd, cgroups or munge, on ports of its own. DIR holds configuration, state and logs. The command prints the
line that points Slurm's programs at it; ``stop DIR`` ends it, ``kill-node DIR NODE`` and ``start-node DIR NODE`` are
for trying faults, such as ``start-node DIR NODE --hide FOLDER``: a node that does not share FOLDER. Needs Debian's
package slurm-wlm.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 60.0
"""Seconds that the controller and the nodes may take to be there."""
CONFIGURATION = """\
ClusterName=dev
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
KillWait={kill_wait}
InactiveLimit=0
SlurmdTimeout=20
MinJobAge=300
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
{nodes}
PartitionName=dev Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def start(folder: Path, nodes: int, cores: int, kill_wait: int) -> Path:
    """Start a cluster and return its configuration file.

    Args:
        folder: for everything of it; a path without spaces.
        nodes: how many nodes there are.
        cores: of each node, whatever the machine has.
        kill_wait: seconds between the signal that asks a job to end and the one that ends it.
    """
    for program in ("slurmctld", "slurmd"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed; on Debian: apt-get install slurm-wlm")
    folder = folder.absolute()
    for name in ("state", *(f"spool-n{index}" for index in range(nodes))):
        (folder / name).mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    ports = _free_ports(1 + nodes)
    lines = [
        f"NodeName=n{index} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1 + index]} CPUs={cores} "
        f"CoresPerSocket={cores} State=UNKNOWN"
        for index in range(nodes)
    ]
    user = os.environ.get("USER") or "root"
    text = CONFIGURATION.format(
        host=host, user=user, folder=folder, ports=ports, nodes="\n".join(lines), kill_wait=kill_wait
    )
    configuration = folder / "slurm.conf"
    # The nodes are wider than the machine may be, and their cores are not to be counted.
    configuration.write_text(text + "SlurmdParameters=config_overrides\n")
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    subprocess.run(["slurmctld", "-c"], env=environment, check=True)
    for index in range(nodes):
        start_node(folder, f"n{index}")
    until = time.monotonic() + PATIENCE
    while _idle(environment) < nodes:
        if time.monotonic() > until:
            raise SystemExit(f"The cluster did not come up; see {folder}/slurmctld.log and slurmd-n0.log.")
        time.sleep(0.2)
    return configuration


def _idle(environment: dict[str, str]) -> int:
    told = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], env=environment, capture_output=True, text=True)
    return told.stdout.split().count("idle")


def start_node(folder: Path, node: str, hidden: Path | None = None) -> None:
    """Start the daemon of a node, which sees an empty folder in the place of one that is hidden (root alone can)."""
    environment = {**os.environ, "SLURM_CONF": str(folder.absolute() / "slurm.conf")}
    command = ["slurmd", "-N", node]
    if hidden is not None:
        script = 'mount -t tmpfs none "$0" && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, str(hidden.absolute()), *command]
    subprocess.run(command, env=environment, check=True)


def kill_node(folder: Path, node: str) -> None:
    """Kill the daemon of a node and all that runs below it, as when the machine fails.

    The daemon goes first and what it runs last: whoever saw another end would still tell the controller, and Slurm
    would count the job as failed.
    """
    daemon = _pid(folder / f"slurmd-{node}.pid")
    parents = [*([daemon] if daemon else []), *_steps(folder, node)]
    children = [child for pid in parents for child in _descendants(pid)]
    for pid in dict.fromkeys([*parents, *children]):
        _kill(pid, signal.SIGKILL)


def _steps(folder: Path, node: str) -> list[int]:
    """Return the processes that hold the node's job steps: they leave the daemon's tree."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"slurmstepd") and f"slurmd-{node}.log" in _open_files(path.parent):
                found.append(int(path.parent.name))
    return found


def _open_files(process: Path) -> set[str]:
    names = set()
    for link in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            names.add(link.readlink().name)
    return names


def stop(folder: Path) -> None:
    """End the cluster and what it runs."""
    for path in sorted(folder.glob("slurmd-*.pid")):
        kill_node(folder, path.stem.removeprefix("slurmd-"))
    if (pid := _pid(folder / "slurmctld.pid")) is not None:
        _kill(pid, signal.SIGTERM)
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.1)
        _kill(pid, signal.SIGKILL)


def _pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _descendants(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [*_descendants(child), child]
    return found


def _kill(pid: int, deadly: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, deadly)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0], prog="cluster.py")
    parser.add_argument("action", choices=("start", "stop", "kill-node", "start-node"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("node", nargs="?", default="n0")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--cores", type=int, default=8)
    parser.add_argument("--kill-wait", type=int, default=30)
    parser.add_argument("--hide", type=Path)
    chosen = parser.parse_args(arguments)
    match chosen.action:
        case "start":
            print(f"export SLURM_CONF={start(chosen.folder, chosen.nodes, chosen.cores, chosen.kill_wait)}")
        case "stop":
            stop(chosen.folder)
        case "kill-node":
            kill_node(chosen.folder, chosen.node)
        case _:
            start_node(chosen.folder, chosen.node, chosen.hide)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
