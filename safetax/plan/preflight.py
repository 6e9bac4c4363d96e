"""What a plan needs and this machine lacks, found out in seconds and before any step is begun.

Only what will be run is looked at. Nothing heavy is imported: libraries are looked for and not loaded, GPUs are asked
of the driver, servers and the hub by opening a connection.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from safetax.config.messages import nearest, show
from safetax.config.runtime import Endpoint
from safetax.config.schema import Config
from safetax.data.hub import is_cached, page, refuses
from safetax.errors import PACKAGES
from safetax.models.gpus import visible_gpus
from safetax.plan.data_checks import data_problems
from safetax.plan.estimate import Estimates, estimates
from safetax.plan.estimate.memory import GIB
from safetax.plan.requirements import Repository, libraries, needs_of_step, repositories, servers
from safetax.plan.status import PlanStatus
from safetax.store.step import Step

CONNECT_TIMEOUT = 3.0
"""Seconds that a connection may take."""
CPU_PARAMETERS = 1.0
"""Billions of parameters from which a model is too large for a CPU."""
FINDER = (
    "import importlib.util, sys\n"
    "print('\\n'.join(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))"
)


def problems(status: PlanStatus, environment: Mapping[str, str] = os.environ, here: bool = True) -> list[str]:
    """Return what is missing, a line for each thing: key, value, what is missing, what to do.

    Args:
        status: of the plan in its outputs folder, which need not be there yet.
        environment: variables that servers' keys and proxies are looked for in.
        here: whether the steps run on this machine; else its libraries, GPUs and network say nothing.
    """
    waiting = status.waiting
    if not waiting:
        return []
    pairs = [(step, status.config_of[step.key]) for step in waiting]
    found = estimates(status, waiting)
    needed = list({each.id: each for step, config in pairs for each in repositories(step, config)}.values())
    lines = [*data_problems(waiting, status.store), *_tokens(needed, environment), *_keys(pairs, environment)]
    if here:
        lines += [*_meeting(pairs), *_interpreters(pairs), *_libraries(pairs), *_gpus(pairs, found)]
        lines += _unreachable(pairs, needed, environment)
    lines += _disk(found, status.store.root)
    return list(dict.fromkeys(lines))


def _meeting(pairs: Iterable[tuple[Step, Config]]) -> list[str]:
    """Look for trainings on several nodes that do not know where these meet; a job of Slurm's does."""
    return [
        f"runtime.rendezvous=null: runtime.nodes={step.runtime['nodes']} need an address at which they meet; set it to "
        "host:port of the first node, which all reach, or submit it: hydra/launcher=slurm."
        for step, _ in pairs
        if step.kind == "train" and step.runtime["nodes"] > 1 and step.runtime["rendezvous"] is None
    ]


def _interpreters(pairs: Iterable[tuple[Step, Config]]) -> list[str]:
    named = {(step.kind, config.runtime.python.get(step.kind)) for step, config in pairs}
    return [
        f"runtime.python.{kind}={interpreter}: there is no such program; name an interpreter."
        for kind, interpreter in sorted(named, key=str)
        if interpreter is not None and shutil.which(interpreter) is None
    ]


def _libraries(pairs: Iterable[tuple[Step, Config]]) -> list[str]:
    """Look for each library in the interpreter that will import it."""
    wanted: dict[str, dict[str, str]] = {}
    for step, config in pairs:
        for module, setting in libraries(step):
            wanted.setdefault(config.runtime.python.get(step.kind, sys.executable), {}).setdefault(module, setting)
    lines = []
    for interpreter, settings in wanted.items():
        if shutil.which(interpreter) is None:
            continue  # which is said already
        other = "" if interpreter == sys.executable else f" of {interpreter}"
        lines += [
            f"{settings[module]} needs the library '{module}', which the Python{other} lacks. Install it: "
            f"{interpreter if other else 'python'} -m pip install '{PACKAGES.get(module, module)}'"
            for module in _missing(interpreter, list(settings))
        ]
    return lines


def _missing(interpreter: str, modules: Sequence[str]) -> list[str]:
    if interpreter == sys.executable:
        return [module for module in modules if importlib.util.find_spec(module) is None]
    try:
        told = subprocess.run([interpreter, "-c", FINDER, *modules], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return list(modules)
    return told.stdout.split() if told.returncode == 0 else list(modules)


def _gpus(pairs: Iterable[tuple[Step, Config]], found: Estimates) -> list[str]:
    """Hold the GPUs that are here against what trainings and engines ask for."""
    gpus, lines = visible_gpus(), []
    for step, config in pairs:
        model, runtime = config.model, config.runtime
        if step.kind == "train" and gpus:
            devices = -(-step.runtime["devices"] // step.runtime["nodes"])
            if devices > len(gpus):
                lines.append(
                    f"runtime.devices={step.runtime['devices']}: {len(gpus)} GPUs are visible here, and {devices} are "
                    f"needed; set runtime.devices to at most {len(gpus)}, or runtime.nodes."
                )
        local = needs_of_step(step).served_model is not None
        large = model.start == "pretrained" and (model.parameters or 0) >= CPU_PARAMETERS
        if not gpus and large and (local or step.kind in ("train", "perplexity")):
            lines.append(
                f"model.name={model.name}: no GPU is visible here, and a model of {model.parameters:.1f} billion "
                "parameters needs one; run it where there are GPUs, or choose a smaller model."
            )
        elif local and (runtime.gpus or 0) > len(gpus):
            lines.append(f"runtime.gpus={runtime.gpus}: {len(gpus)} GPUs are visible here; set it to at most that.")
    if gpus:
        for stage in (stage for stage in found.stages if not stage.fits):
            ways = " or ".join(stage.remedies) or "GPUs with more memory, shorter rows (max_tokens)"
            lines.append(
                f"{stage.title}: {stage.memory.total / GIB:.1f} GiB are needed on each GPU, of "
                f"{stage.limit / GIB:.1f}; what fits: {ways}. Set runtime.gpu_memory if you know better."
            )
    return lines


def _disk(found: Estimates, outputs: Path) -> list[str]:
    """Hold what will be written against what is free, together where it is one file system."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    places = [
        (outputs, found.disk, f"runtime.outputs={outputs}", "name a folder with more, or start fewer runs"),
        (cache, sum(found.downloads.values()), f"HF_HUB_CACHE={cache}", "name another folder"),
    ]
    written: dict[int, float] = {}
    full: set[int] = set()
    lines = []
    for path, size, setting, remedy in places:
        existing = next(folder for folder in (path, *path.parents) if folder.is_dir())
        device, free = existing.stat().st_dev, shutil.disk_usage(existing).free
        written[device] = written.get(device, 0.0) + size
        if size and written[device] > free and device not in full:
            full.add(device)
            lines.append(
                f"{setting}: {written[device] / GIB:,.0f} GiB will be written, and {free / GIB:,.0f} GiB are free; "
                f"{remedy}."
            )
    return lines


def _tokens(needed: Iterable[Repository], environment: Mapping[str, str]) -> list[str]:
    """Look for a token where something gated has to be loaded, and ask the hub whether it opens the gate."""
    from huggingface_hub import constants, get_token

    gated = [each for each in needed if each.gated and not is_cached(each.id, each.kind, each.commit)]
    if not gated:
        return []
    if get_token() is None:
        return [
            f"{each.setting}: {each.id} is gated and there is no token; accept its terms at "
            f"{page(each.id, each.kind)} and set HF_TOKEN in the environment."
            for each in gated
        ]
    if constants.HF_HUB_OFFLINE or why_unreachable(constants.ENDPOINT, environment) is not None:
        return []
    with ThreadPoolExecutor(len(gated)) as pool:
        refused = pool.map(lambda each: refuses(each.id, each.kind), gated)
    return [
        f"{each.setting}: {each.id} is gated and the hub refuses it to the token that is set; accept its terms at "
        f"{page(each.id, each.kind)} with the token's account, or set HF_TOKEN to one that may read it."
        for each, closed in zip(gated, refused, strict=True)
        if closed
    ]


def _keys(pairs: Iterable[tuple[Step, Config]], environment: Mapping[str, str]) -> list[str]:
    lines = []
    for setting, name, server, known in _asked(pairs):
        if server is None:
            lines.append(
                f"{setting}: runtime.endpoints has no such entry.{nearest(name, known, 'runtime.endpoints')} It has "
                f"{', '.join(known) or 'none'}; add one with +runtime.endpoints.{name}.base_url=.."
            )
        elif server.base_url is None and not environment.get(server.key):
            lines.append(
                f"runtime.endpoints.{name}.key={server.key}: the environment variable {server.key} is not set, which "
                f"{setting} needs; export it, or set runtime.endpoints.{name}.base_url to a server that needs none."
            )
    return lines


def _asked(pairs: Iterable[tuple[Step, Config]]) -> list[tuple[str, str, Endpoint | None, list[str]]]:
    """Return the servers that steps ask: setting, name, what is configured of it, and all that are configured."""
    found = {}
    for step, config in pairs:
        for name, setting in servers(step):
            known = config.runtime.endpoints
            default = Endpoint() if name == "default" else None
            found[setting] = (setting, name, known.get(name, default), list(known))
    return list(found.values())


def _unreachable(
    pairs: Iterable[tuple[Step, Config]], needed: Iterable[Repository], environment: Mapping[str, str]
) -> list[str]:
    """Try to connect to the servers, and to the hub where something has to be loaded from it."""
    from huggingface_hub import constants

    addresses = {
        f"runtime.endpoints.{name}.base_url={show(server.base_url)}": server.address
        for _, name, server, _ in _asked(pairs)
        if server is not None
    }
    absent = [each for each in needed if each.commit and not is_cached(each.id, each.kind, each.commit)]
    lines = []
    if absent and constants.HF_HUB_OFFLINE:
        lines = [
            f"{each.setting}: HF_HUB_OFFLINE is set and the local cache lacks {each.id}; unset it." for each in absent
        ]
    elif absent:
        ids = ", ".join(each.id for each in absent)
        addresses[f"HF_ENDPOINT={constants.ENDPOINT}, for {ids}"] = constants.ENDPOINT
    if not addresses:
        return lines
    with ThreadPoolExecutor(len(addresses)) as pool:
        reasons = pool.map(lambda address: why_unreachable(address, environment), addresses.values())
    return lines + [
        f"{setting}: {reason}; start the server or mend the address, or connect this machine."
        for setting, reason in zip(addresses, reasons, strict=True)
        if reason is not None
    ]


def why_unreachable(address: str, environment: Mapping[str, str]) -> str | None:
    """Return why no connection to an address can be opened, or None where one can; a proxy stands for all behind it."""
    parts = urlsplit(address)
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    if host is None:
        return "this is no address, such as http://host:8000/v1"
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    proxies = {
        name: environment.get(f"{name}_proxy") or environment.get(f"{name.upper()}_PROXY") or ""
        for name in (parts.scheme, "no")
    }
    proxy = proxies[parts.scheme]
    if proxy and not proxy_bypass_environment(host, proxies):
        behind = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        host, port = behind.hostname or host, behind.port or 80
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT):
            return None
    except OSError as error:
        return f"{host}:{port} cannot be reached ({error.strerror or error or type(error).__name__})"
