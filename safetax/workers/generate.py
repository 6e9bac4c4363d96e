"""Generates responses: ``python -m safetax.workers.generate DIR..``.

The steps must share one checkpoint: their prompts go into one queue of one engine. Responses are appended to
``scratch/responses.jsonl`` as they finish, so that a restart asks only for what is missing; a finished step has them in
the order of its prompts in ``responses.jsonl``.

With ``runtime.generate_nodes`` above 1 the same command may be given on more nodes (see :mod:`safetax.store.nodes`),
over one shared outputs folder: all of them answer from one queue, and the first one holds the locks and finishes the
steps. It needs none of the others, and answers itself what one of them took and left.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from safetax.config.components import calling, component_module, component_name
from safetax.config.identity import restore, restore_node
from safetax.config.plugins import RespondChecks, check_engine, check_response
from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.evaluation.engines import ALONE, Engine, Generated, Markers, PromptSharing, Source
from safetax.evaluation.prompting import make_prompt, markers_of, split
from safetax.evaluation.shared_prompts import SharedPrompts
from safetax.models.checkpoint import generation_ends, load_tokenizer, source_of
from safetax.records import Example, Response, read_records, write_records
from safetax.store.append_log import AppendLog, parse_lines, read_log
from safetax.store.job import StepJob
from safetax.store.lease import LEASE_TIMEOUT
from safetax.store.locks import lease_token, own_lease_token
from safetax.store.manifest import SCRATCH
from safetax.store.nodes import node_rank, wait_for_first_node
from safetax.store.threads import use_threads
from safetax.store.work_loop import run_on_node

RESPONSES = "responses.jsonl"
TOGETHER = True
"""All steps of a request are done at once."""


@dataclass
class _Queue:
    """One step's prompts: what is there already, and what is still to be generated."""

    job: StepJob
    examples: list[Example]
    done: dict[tuple[str, int], Response]
    log: AppendLog[Response]
    shared: SharedPrompts | None
    tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def wanted(self) -> list[tuple[Example, int]]:
        """All responses that the step wants."""
        repeats = self.job.identity["sampling"]["repeats"]
        return [(example, repeat) for example in self.examples for repeat in range(repeats)]

    def pending(self) -> list[tuple[_Queue, Example, int]]:
        """Return what is still to be answered."""
        return [(self, example, repeat) for example, repeat in self.wanted if (example.id, repeat) not in self.done]

    def hear(self) -> None:
        """Take in what other nodes have answered."""
        if self.shared is not None:
            for response in parse_lines(self.shared.news(), Response):
                self.done[response.id, response.repeat] = response

    def tell(self) -> None:
        """Report how far the step is."""
        rate = self.tokens / max(time.monotonic() - self.started, 1e-9)
        self.job.progress(len(self.done), len(self.wanted), "responses", rate)


def work(jobs: Sequence[StepJob]) -> None:
    """Generate the responses of steps that share a checkpoint."""
    use_threads(jobs[0].runtime)
    queues = [_open(job) for job in jobs]
    try:
        for group in _by_format(queues):
            facts = _generate(group, first=True)
            for queue in group:
                _finish(queue, facts)
    finally:
        for queue in queues:
            queue.log.close()


def _open(job: StepJob) -> _Queue:
    examples = read_records(job.inputs["prompts"] / "examples.jsonl", Example)
    done = read_partial(job.scratch)
    log = AppendLog(job.scratch / RESPONSES, done.values())
    nodes = job.runtime.get("generate_nodes", 1)
    shared = SharedPrompts(job.scratch, own_lease_token(job.lock), nodes) if nodes > 1 else None
    if shared is not None:
        shared.open()
    return _Queue(job, examples, done, log, shared)


def read_partial(scratch: Path) -> dict[tuple[str, int], Response]:
    """Return the responses that an interrupted step has written; a line cut in the middle is left out."""
    logs = (read_log(path, Response) for path in sorted(scratch.glob("responses*.jsonl")))
    return {(response.id, response.repeat): response for log in logs for response in log}


def _by_format(queues: Sequence[_Queue]) -> list[list[_Queue]]:
    """Group the steps by what one start of an engine serves: model, markup and engine."""
    groups: dict[str, list[_Queue]] = {}
    for queue in queues:
        identity = queue.job.identity
        model = str(queue.job.inputs.get("model", identity.get("model")))
        groups.setdefault(json.dumps([model, identity["engine"], identity["format"]]), []).append(queue)
    return list(groups.values())


def _generate(queues: list[_Queue], first: bool) -> dict[str, Any]:
    """Answer the prompts with one engine and return its facts; what other nodes answer, the first one waits for."""
    if not any(queue.pending() for queue in queues):
        return {}
    job = queues[0].job
    engine_config = restore("engines", job.identity["engine"])
    tokenizer = load_tokenizer(job.identity, job.inputs)
    renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
    markers = markers_of(renderer, generation_ends(*source_of(job.identity, job.inputs)))
    module, name = component_module("engines", engine_config.kind), component_name("engines", engine_config.kind)
    with calling("engines", engine_config.kind), contextlib.ExitStack() as stack:
        engine: Engine = module.start(engine_config, Source(job.identity, job.inputs, tokenizer), job.runtime)
        check_engine(engine, name)
        stack.callback(engine.close)
        job.events.send("engine", engine=engine_config.kind, steps=[queue.job.key for queue in queues])
        _answer(queues, engine, name, renderer, markers, alone=False)
        while first and not _heard_all(queues):
            _answer(queues, engine, name, renderer, markers, alone=True)
        return dict(engine.facts)


def _answer(
    queues: list[_Queue], engine: Engine, name: str, renderer: ChatRenderer, markers: Markers, alone: bool
) -> None:
    """Answer what is pending; with other nodes in between, those that they do not take."""
    pending = [entry for queue in queues for entry in queue.pending()]
    prompts = [make_prompt(queue.job.identity, renderer, example, repeat) for queue, example, repeat in pending]

    claimed = set()

    def claim(index: int) -> bool:
        queue, example, repeat = pending[index]
        if queue.shared is None or queue.shared.claim((example.id, repeat)):
            claimed.add(index)
        return index in claimed

    checks = RespondChecks(name, [example.id for _, example, _ in pending], Generated)
    nodes = max(queue.shared.nodes if queue.shared else 1 for queue in queues)
    sharing = ALONE if alone else PromptSharing(claim, nodes)
    for entry in engine.respond(prompts, markers, sharing):
        index, generated = checks.check(entry)
        queue, example, repeat = pending[index]
        response = _response(queue, example, repeat, generated, prompts[index].seed, renderer)
        check_response(response, name)
        _append(queue, response)
    checks.check_all(claimed if sharing.nodes > 1 else range(len(pending)))


def _response(
    queue: _Queue, example: Example, repeat: int, generated: Generated, seed: int, renderer: ChatRenderer
) -> Response:
    markup, sampling = renderer.markup, queue.job.identity["sampling"]
    if markup.open_thinking and generated.thinking is None:
        if sampling["one_phase"] and sampling["thinking_budget"] > 0:
            generated = split(generated, markup)
        else:
            generated = replace(generated, end_of_thinking="suppressed")
    return Response(id=example.id, repeat=repeat, seed=seed, **vars(generated))


def _append(queue: _Queue, response: Response) -> None:
    queue.log.append(response)
    queue.done[response.id, response.repeat] = response
    queue.tokens += response.thinking_tokens + response.answer_tokens
    queue.hear()
    queue.tell()


def _heard_all(queues: list[_Queue]) -> bool:
    """Wait until the other nodes have answered what they took; False where they have fallen silent."""
    while unanswered := [queue for queue in queues if queue.pending()]:
        for queue in unanswered:
            queue.hear()
            queue.tell()
        if all(queue.shared is None or queue.shared.silent() > LEASE_TIMEOUT for queue in unanswered):
            return False
        time.sleep(0.2)
    return True


def _finish(queue: _Queue, facts: dict[str, Any]) -> None:
    """Write the responses in the order of the prompts, so that the file does not depend on how they came."""
    responses = [queue.done[example.id, repeat] for example, repeat in queue.wanted]
    with queue.job.writing(RESPONSES) as written:
        write_records(written, responses)
    queue.log.close()
    seconds = max(time.monotonic() - queue.started, 1e-9)
    queue.job.finish(
        {
            "responses": len(responses),
            "truncated": sum(response.truncated for response in responses),
            "tokens": sum(response.thinking_tokens + response.answer_tokens for response in responses),
            "tokens_per_second": round(queue.tokens / seconds, 1),
            "engine": queue.job.identity["engine"]["kind"],
            **({"engine_facts": facts} if facts else {}),
        }
    )


def join(jobs: Sequence[StepJob]) -> int:
    """Answer prompts of steps that the first node has begun, until none is left that no node took; returns 0.

    Raises:
        UserError: no first node begins.
    """
    with contextlib.ExitStack() as stack:
        queues = []
        for job in jobs:
            if (shared := wait_for_first_node(job.key, partial(_opened, job), job.is_complete)) is None:
                job.events.send("reused", step=job.key)
                continue
            job.events.send("joined", step=job.key, node=node_rank())
            with contextlib.suppress(FileNotFoundError):  # it is done meanwhile, and its scratch folder gone
                log = stack.enter_context(AppendLog[Response](shared.own_file))
                stack.enter_context(shared.alive())
                examples = read_records(job.inputs["prompts"] / "examples.jsonl", Example)
                queues.append(_Queue(job, examples, read_partial(shared.scratch), log, shared))
        for group in _by_format(queues):
            _generate(group, first=False)
    return 0


def _opened(job: StepJob) -> SharedPrompts | None:
    """Return the prompts of a step that the first node has begun, or None."""
    token = lease_token(job.directory)
    shared = SharedPrompts(job.directory / SCRATCH, token or "", job.runtime["generate_nodes"])
    return shared if token and shared.is_open else None


if __name__ == "__main__":
    sys.exit(run_on_node(work, "generate_nodes", join, TOGETHER))
