"""Judge models on this machine: finding, loading and asking them, with a copy on each GPU.

Texts go in batches of like length, the longest first; batches go to whichever copy is free.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetax.config.needs import Library, LocalModel, Needs, Repository
from safetax.data.hub import said
from safetax.errors import UserError
from safetax.evaluation.concurrency import as_they_finish
from safetax.evaluation.judging.cases import MaxErrors, Part
from safetax.store.threads import use_threads

ROOM = 1024
"""Tokens of a text for which ``runtime.judge_batch`` is meant; fewer longer texts are read at once."""


@dataclass(frozen=True)
class JudgeModelConfig:
    """A judge model of the hub or a local folder, and the part of a response that it judges."""

    kind: str
    id: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    part: Part = "answer"
    max_errors: MaxErrors = 0.2


def needs_of_model(config: JudgeModelConfig, parameters: float, max_tokens: int, gated: bool = False) -> Needs:
    """Return what a judge model needs.

    Args:
        config: the model.
        parameters: of the published model, in billions.
        max_tokens: of the longest text that it reads.
        gated: whether the published model asks for accepted terms.
    """
    return Needs(
        libraries=(Library("transformers"),),
        repositories=(Repository(config.id, "model", gated),),
        local_model=LocalModel(config.id, parameters, config.dtype, max_tokens),
    )


class JudgeModel:
    """A model and its tokenizer, loaded when first needed; one copy on each of the GPUs, else one on the CPU.

    Args:
        model: its configuration.
        task: the class of transformers that loads it.
        facts: what its name was resolved to; a hub model is loaded at that commit.
        runtime: ``judge_batch``, ``gpus`` and ``threads``.

    Raises:
        UserError: there is no such model, it is gated, or it has no safetensors.
    """

    def __init__(
        self,
        model: JudgeModelConfig,
        task: Literal["AutoModelForSequenceClassification", "AutoModelForCausalLM"],
        facts: Mapping[str, Any],
        runtime: Mapping[str, Any],
    ) -> None:
        import torch
        import transformers

        use_threads(runtime)
        self.batch = int(runtime.get("judge_batch") or 32)
        source, commit = source_of(model, facts)
        settings = {"revision": commit, "trust_remote_code": False}
        gpus = torch.cuda.device_count()
        used = gpus if runtime.get("gpus") is None else min(gpus, runtime["gpus"])
        devices = [f"cuda:{index}" for index in range(used)] or ["cpu"]
        self.tokenizer = load_tokenizer(model, facts)
        try:
            self.copies: list[Any] = [
                getattr(transformers, task)
                .from_pretrained(source, dtype=getattr(torch, model.dtype), use_safetensors=True, **settings)
                .to(device)
                .eval()
                for device in devices
            ]
        except (OSError, ValueError) as error:
            raise UserError(_why(model, error)) from None

    @property
    def context(self) -> int | None:
        """Longest input in tokens, where the model says it."""
        return getattr(self.copies[0].config, "max_position_embeddings", None)

    def run(
        self, lengths: Sequence[int], size: int | None, ask: Callable[[Any, list[int]], Sequence[Any]]
    ) -> Iterator[tuple[int, Any]]:
        """Yield the index of each text with what was found out about it, as batches finish.

        Args:
            lengths: tokens of each text.
            size: texts in a batch; None: ``runtime.judge_batch``, less where texts are long.
            ask: takes a copy of the model and the indices of a batch; returns a result for each.
        """
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for copy in self.copies:
            free.put(copy)

        def work(batch: list[int]) -> Sequence[Any]:
            import torch

            copy = free.get()
            try:
                with torch.inference_mode():
                    return ask(copy, batch)
            finally:
                free.put(copy)

        batches = grouped(lengths, size or self.batch, None if size else self.batch * ROOM)
        for batch, results in as_they_finish(work, batches, len(self.copies), "judge"):
            yield from zip(batch, results, strict=True)


def source_of(model: JudgeModelConfig, facts: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return where a judge model lies, a folder or hub id, and the commit that its name was resolved to."""
    return str(Path(model.id).expanduser()) if "files" in facts else model.id, facts.get("commit")


def load_tokenizer(model: JudgeModelConfig, facts: Mapping[str, Any]) -> Any:
    """Return the tokenizer of a judge model. Raises UserError where it cannot be loaded."""
    from transformers import AutoTokenizer

    source, commit = source_of(model, facts)
    try:
        return AutoTokenizer.from_pretrained(source, revision=commit, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(_why(model, error)) from None


def grouped(lengths: Sequence[int], size: int, room: int | None) -> list[list[int]]:
    """Return batches of indices, longest texts first, of at most ``size`` texts and ``room`` padded tokens."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        batch = batches[-1] if batches else []
        full = not batch or len(batch) >= size
        if not full and room is not None:
            full = (len(batch) + 1) * lengths[batch[0]] > room
        if full:
            batches.append([index])
        else:
            batch.append(index)
    return batches


def _why(model: JudgeModelConfig, error: Exception) -> str:
    """Return a message for a model that could not be loaded."""
    failed = f"The judge model id={model.id} ({model.kind}) cannot be loaded: {said(error)}."
    words = str(error).lower()
    if "gated" in words or "restricted" in words:
        return f"{failed} Accept its terms on the hub and set HF_TOKEN in the environment."
    if "safetensors" in words or "pytorch_model" in words:
        return (
            f"{failed} Only safetensors are read: set revision to one that has them (the hub's own conversion often "
            "stands at refs/pr/1 or the like), or name a local folder with a converted model."
        )
    return f"{failed} Check id and revision, connect to the hub or set HF_TOKEN, or name a local folder."
