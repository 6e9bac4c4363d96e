"""Runs the paper's presets at tiny scale: ``python -m launchers.rehearsal``, or ``make rehearsal``, from the checkout.

Makes tiny checkpoints and data below ``outputs/rehearsal``, serves the LLM judge, and runs each preset with DeepSpeed
ZeRO-3 on two CPU ranks, vLLM, lm-eval, local judges, MLflow and the report; then two methods whose data the model
itself writes. The scores mean nothing; that every part is the real one is read from the manifests by
``tests/integration/test_rehearsal.py``.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from launchers.judge_server import serving
from launchers.rehearsal.checkpoints import write_checkpoints
from launchers.rehearsal.data import write_data

FOLDER = Path("outputs/rehearsal")
CONFIGURATION = Path(__file__).parent / "conf"
SHARED = Path("../shared/data")
PRESETS = ("deepseek32b", "s1_build")
METHODS = {
    "dgr_direct_refusal": {"dataset.source.rows": "direct_refusal"},
    "thinksafe": {"recipes.harmful.rows": "safechain", "recipes.benign.rows": "safechain_benign"},
}
"""Methods whose data vLLM samples from the model, and the rows that they are made from."""
ROWS = {
    "dataset.rows": "direct_refusal",
    "reasoning.dataset.rows": "s1k",
    "benchmark.beavertails.prompts.rows": "beavertails",
}
"""Rows that are taken from a file of the rehearsal instead of the hub."""
MODELS = {"deepseek32b": "deepseek", "s1_build": "qwen", "s1": "qwen", "limo": "qwen", "base": "qwen"}


def main() -> int:
    """Run the rehearsal; returns 0, or the exit code of the first preset that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", choices=sorted(MODELS), default=list(PRESETS))
    parser.add_argument("--plan", action="store_true", help="only show what would run")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here is of the hub
    started = time.monotonic()
    models = write_checkpoints(FOLDER / "models")
    write_data(FOLDER / "data", SHARED)
    port = free_port()
    if options.plan:
        return max(
            run(preset, models[MODELS[preset]], f"http://127.0.0.1:{port}/v1", True) for preset in options.presets
        )
    print("Starting the judge's server", flush=True)
    small = ["--max-model-len", "2048", "--dtype", "float32", "--enforce-eager", "--gpu-memory-utilization", "0.1"]
    with serving(str(models["judge"]), port, "judge", FOLDER / "judge_server.log", small, patience=300) as address:
        print(f"It answers after {time.monotonic() - started:.0f} s", flush=True)
        for preset in options.presets:
            code = run(preset, models[MODELS[preset]], address, False)
            if code:
                return code
            print(f"{preset} is done {time.monotonic() - started:.0f} s after the start", flush=True)
        for method in METHODS:
            code = run("deepseek32b", models["deepseek"], address, False, method)
            if code:
                return code
            print(f"{method} is done {time.monotonic() - started:.0f} s after the start", flush=True)
    return 0


def run(preset: str, model: Path, address: str, plan: bool, method: str | None = None) -> int:
    """Run a preset on a tiny checkpoint, or a method by its settings; returns the command's exit code."""
    command = [sys.executable, "-m", "safetax", "--config-dir", str(CONFIGURATION)]
    command += [f"+experiment={preset}", f"model.id={model}"]
    rows = ROWS
    if method is None:
        command += ["+rehearsal=presets", f"model.name={preset}_rehearsal"]
    else:
        command += ["+rehearsal=methods", f"method={method}", "model.name=methods_rehearsal"]
        rows = {**METHODS[method], "benchmark.beavertails.prompts.rows": "beavertails"}
    for key, name in rows.items():
        command.append(f"{key}={{kind: file, path: {FOLDER}/data/{name}.jsonl}}")
    command += [f"+runtime.endpoints.default.base_url={address}", f"plan={str(plan).lower()}"]
    return subprocess.call(command)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
