"""The schema of ``runtime``: where and how fast things run, on this machine or a cluster; no part of any identity."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from safetax.config.fields import AtLeast, Between, MoreThan
from safetax.config.messages import nearest, show
from safetax.config.secrets import holds, looks_like_key
from safetax.errors import ConfigError

Count = Annotated[int, AtLeast(1)]
Share = Annotated[float, Between(0, 1)]

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Endpoint:
    """A server with OpenAI's interface that models are asked at."""

    base_url: str | None = None
    """Such as ``http://host:8000/v1``; null: OpenAI's own."""
    key: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    retries: Annotated[int, AtLeast(0)] = 6
    timeout: Annotated[float, MoreThan(0)] = 120.0
    """Seconds that a request may take besides those for the tokens that it asks for, a second for each ten."""
    price_in: Annotated[float, AtLeast(0)] | None = None
    """Price of a million tokens asked, for the cost in the manifest."""
    price_out: Annotated[float, AtLeast(0)] | None = None
    """Price of a million tokens answered."""

    def __post_init__(self) -> None:
        """Check that the address is one and holds no secret, since it is written to disk."""
        if not re.fullmatch(r"[A-Za-z_]\w*", self.key) or looks_like_key(self.key):
            raise ConfigError(
                "key is no name of an environment variable; expected the name of the one that holds the key, such as "
                "OPENAI_API_KEY. The key itself would be written to disk."
            )
        if self.base_url is None:
            return
        marked = any(sign in self.base_url for sign in "@?#") or any(map(looks_like_key, self.base_url.split("/")))
        if marked or holds(self.base_url, os.environ.get(self.key, "")):
            raise ConfigError(
                "base_url holds a name, a password, a query, a fragment or a key, which would be written to disk; "
                "allowed is an address such as http://host:8000/v1. Put the secret into an environment variable, and "
                "its name into key."
            )
        try:
            parts = urlsplit(self.base_url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port is no number
            usable = False
        if not usable:
            raise ConfigError(
                f"base_url={show(self.base_url)}: expected an address such as http://host:8000/v1, or null for "
                "OpenAI's own."
            )

    @property
    def address(self) -> str:
        """Where requests go."""
        return self.base_url or OPENAI


@dataclass(frozen=True)
class Slurm:
    """What jobs ask of a cluster with ``hydra/launcher=slurm``."""

    partition: str | None = None
    cpu_partition: str | None = None
    """Of jobs that need no GPU; null: the same."""
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus_per_node: Annotated[int, AtLeast(0)] = 8
    """0: jobs ask for no GPU at all, as for the lab."""
    gpu_type: str | None = None
    """What the site calls the GPUs to ask for, such as ``h100``; null: any."""
    gres: bool = False
    """Ask for GPUs with ``--gres=gpu:N``, where a site does not know ``--gpus-per-node=N``."""
    cpus_per_gpu: Count = 8
    cpus: Count = 4
    """Of a job that needs no GPU."""
    memory_gb: Annotated[float, MoreThan(0)] | None = None
    """Of each node that a job is on; null: the site's default."""
    cpu_memory_gb: Annotated[float, MoreThan(0)] | None = None
    """Of a job that needs no GPU; null: the same."""
    minutes: Count = 1440
    """Time limit of a job. One that reaches it goes on in its next turn."""
    minutes_of: dict[str, Count] = field(default_factory=dict)
    """The same by kind of step (prepare, train, merge, perplexity, generate, score)."""
    setup: list[str] = field(default_factory=list)
    """Lines of shell before each job's work, such as ``module load cuda``."""
    container: str | None = None
    """Command that the work is put behind, such as ``apptainer exec --nv safetax.sif``; its Python is ``python3``."""
    options: dict[str, Any] = field(default_factory=dict)
    """Other options of sbatch by their long names; ``true`` for one that has no value, ``false`` to leave one out."""
    gpu_options: dict[str, Any] = field(default_factory=dict)
    """The same for jobs that need a GPU alone."""
    warn_seconds: Count = 120
    """Time between the signal that a job is about to end and its end, for a last checkpoint."""
    requeues: Count = 100
    """How often a job may reach its time limit and go on."""

    def __post_init__(self) -> None:
        """Check that time limits are of kinds of steps, and that options have values that sbatch can be given."""
        check_workers(self.minutes_of, "minutes_of")
        for key, options in (("options", self.options), ("gpu_options", self.gpu_options)):
            for name, value in options.items():
                if not isinstance(value, str | int | float):
                    raise ConfigError(
                        f"{key}.{name}={show(value)}: expected text, a number, true (an option without a value) or "
                        "false (leave it out)."
                    )


def is_address(text: str) -> bool:
    """Whether a text is ``host:port``, where the host is a name, an IPv4 address, or an IPv6 address in brackets."""
    found = re.fullmatch(r"(?:\w(?:[\w.-]*\w)?|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):(\d{1,5})", text, re.ASCII)
    return found is not None and 1 <= int(found[1]) <= 65535


def check_workers(values: Mapping[str, object], key: str) -> None:
    """Raise ConfigError unless all keys of a mapping are kinds of steps."""
    workers = ("prepare", "train", "merge", "perplexity", "generate", "score")
    for name, value in values.items():
        if name not in workers:
            raise ConfigError(
                f"{key}.{name}={value}: there is no such worker.{nearest(name, workers)} Allowed are "
                f"{', '.join(workers)}."
            )


@dataclass(frozen=True)
class Runtime:
    """Where and how fast things run; no part of any identity, so changing it reuses every finished step."""

    outputs: str = "outputs"
    isolation: Literal["process", "shared"] = "process"
    """``process``: a process for each worker; ``shared``: one after the other in one process, for tiny CPU steps."""
    workers: Count | None = 1
    """Workers at a time; each takes all devices, so more than one is for CPUs. Null: as many as there are cores for."""
    devices: Count = 1
    """Ranks of a distributed training."""
    nodes: Count = 1
    """Nodes that ``devices`` are spread over; the training is started on each of them."""
    generate_nodes: Count = 1
    """Nodes that the generation of a checkpoint's responses is spread over; the worker is started on each of them."""
    rendezvous: str | None = None
    """Address ``host:port`` at which the nodes of a training meet; null: what Slurm says, in a job of its."""
    zero: Annotated[int, Between(0, 3)] = 0
    """DeepSpeed ZeRO stage of the distributed stages; 0 trains without DeepSpeed."""
    distributed: list[Literal["reasoning", "alignment"]] = field(default_factory=lambda: ["alignment"])
    """Stages that ``devices`` and ``zero`` apply to; the others train on one device."""
    micro_batch: Count | None = None
    """Examples per rank and forward pass; null: all of a rank's share at once."""
    gradient_checkpointing: bool = False
    offload: Literal["auto", "none", "optimizer", "all"] = "none"
    """What ZeRO keeps in the memory of the host; ``auto``: what the estimate says is needed."""
    loss_chunk: Count | None = None
    """Tokens whose logits are held at a time when the loss is computed; null: all of the micro batch's."""
    keep: Literal["all", "evaluated", "results"] = "all"
    """Which checkpoints stay on disk when the run is done."""
    retry_errors: bool = False
    """Judge again where a finished judging left verdicts that are errors; an answer that could be read is not asked for
    twice."""
    gpus: Annotated[int, AtLeast(0)] | None = None
    """GPUs that generation and local judges share; null: those that are there."""
    gpu_memory: Annotated[float, MoreThan(0)] | None = None
    """Memory of a GPU in GB, for the estimate; null: what is there, or 80."""
    gpu_tflops: Annotated[float, MoreThan(0)] = 989.0
    """Dense bf16 arithmetic of a GPU in TFLOP/s, for utilisation and the estimate."""
    mfu: Share = 0.4
    """Share of that which a training reaches, for the estimate, until a finished training says better."""
    tensor_parallel: Count | None = None
    """GPUs that hold one copy of a model that generates; null: as few as its weights need."""
    engine_memory: Share = 0.9
    """Share of a GPU's memory that an engine takes."""
    generate_batch: Count = 128
    """Prompts generated at once by the hf engine, and by each replica of vLLM."""
    judge_batch: Count = 32
    """Texts that a local judge, or the model that a perplexity is measured under, reads at once."""
    requests: Count = 16
    """Requests to an API that are under way at a time."""
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """Servers by the name that engines, judges and graders ask for; ``default`` is OpenAI's own unless set here."""
    checkpoint_minutes: Annotated[float, MoreThan(0)] = 10.0
    """Time between checkpoints of a training."""
    threads: Count | None = None
    """CPU threads of a worker; null: its share of the cores. Another number may give other bits of the same results."""
    python: dict[str, str] = field(default_factory=dict)
    """Interpreter of each worker (train, generate, ..), where it lives in another virtual environment."""
    slurm: Slurm = field(default_factory=Slurm)

    def __post_init__(self) -> None:
        """Check the outputs folder, and that interpreters go with workers of their own."""
        if not self.outputs.strip():
            raise ConfigError("outputs='' names no folder: name one, such as outputs.")
        if self.devices % self.nodes:
            raise ConfigError(
                f"devices={self.devices} is not divisible by nodes={self.nodes}; allowed are multiples of {self.nodes}."
            )
        if self.rendezvous is not None and not is_address(self.rendezvous):
            raise ConfigError(
                f"rendezvous={show(self.rendezvous)} is no address that nodes can meet at; allowed is host:port of the "
                "first node, such as node1:29500 or [fd00::1]:29500."
            )
        needed = {"optimizer": (1, 2, 3), "all": (3,)}.get(self.offload)
        if needed is not None and self.zero not in needed:
            raise ConfigError(
                f"offload={self.offload} does not go with zero={self.zero}; allowed is zero="
                f"{' or '.join(map(str, needed))}."
            )
        check_workers(self.python, "python")
        if self.python and self.isolation == "shared":
            name, interpreter = next(iter(self.python.items()))
            raise ConfigError(
                f"python.{name}={interpreter} does not go with isolation=shared: an interpreter of its own needs a "
                "process of its own; set runtime.isolation=process."
            )
