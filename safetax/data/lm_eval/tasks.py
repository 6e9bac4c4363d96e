"""lm-eval tasks through lm-eval's public ``LM`` interface, in two passes.

The first pass records what a task asks: the messages of each prompt and the document it was made from. The second plays
stored responses back and lets the task score them. Documents are frozen as recorded, since tasks with unseeded shuffles
would differ between the passes; responses are played back by document, since tasks with worked examples may choose
others for a prompt each time. This is the one module that imports lm_eval.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from safetax.config.components import without_bytecode
from safetax.data.lm_eval.definitions import find_definition, included, local_facts, merged, task_directories
from safetax.data.lm_eval.limits import limit_each_answer
from safetax.errors import UserError, require
from safetax.records import Example, Message, Response, Verdict

SHOTS_SEED = 1234
"""Seeds the choice of worked examples, as lm-eval's own command does."""


def record(
    task: str,
    folder: str | None,
    metadata: Mapping[str, Any],
    limit: int | None,
    facts: Mapping[str, Any] | None = None,
) -> list[Example]:
    """Return the prompts of a task; ``meta["document"]`` of each is the document that the task scores it by.

    Args:
        task: name of the task.
        folder: the user's own folder of tasks.
        metadata: the task's own settings.
        limit: only so many documents, from the first on.
        facts: what the task was when its step was planned; its data are loaded at that commit.

    Raises:
        UserError: something that the task reads is no longer what it was.
    """
    commit = _unchanged_commit(task, folder, metadata, facts)
    recorder = _language_model()
    _evaluate(recorder, _load(task, folder, metadata, commit=commit), limit)
    examples: list[Example] = []
    seen: dict[str, int] = defaultdict(int)
    for request in recorder.requests:
        context, arguments = request.args
        digest = prompt_hash(context)
        seen[digest] += 1
        name = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        meta = {"document": request.doc, "until": _until(arguments), "task": task}
        examples.append(Example(name, messages_of(context), meta=meta))
    return examples


def grade(
    task: str,
    folder: str | None,
    metadata: Mapping[str, Any],
    metric: str | None,
    examples: Sequence[Example],
    responses: Sequence[Response],
    facts: Mapping[str, Any] | None = None,
) -> list[Verdict]:
    """Score stored responses with the task that recorded their prompts.

    Each repeat is a pass of its own, since lm-eval's default filter keeps the first response of a prompt only.

    Args:
        task: name of the task.
        folder: the user's own folder of tasks.
        metadata: the task's own settings, as recorded with.
        metric: name of the metric that says right or wrong; None: the task's first.
        examples: the recorded prompts.
        responses: responses to them, any number of repeats.
        facts: what the task was when its step was planned.
    """
    by_repeat: dict[int, dict[str, Response]] = defaultdict(dict)
    for response in responses:
        by_repeat[response.repeat][response.id] = response
    verdicts = []
    frozen = [example.meta["document"] for example in examples]
    loaded = _load(task, folder, metadata, frozen, _unchanged_commit(task, folder, metadata, facts))
    slow: set[int] = set()
    limit_each_answer(loaded["tasks"][task], len(examples), slow)
    for repeat, answered in sorted(by_repeat.items()):
        answers = [
            cut(answered[example.id].answer, example.meta["until"]) if example.id in answered else ""
            for example in examples
        ]
        slow.clear()
        scored = _first_filter(_evaluate(_language_model(answers), loaded, None)["samples"][task])
        for place, (example, sample) in enumerate(zip(examples, scored, strict=True)):
            if example.id in answered and place in slow:
                verdicts.append(Verdict(example.id, repeat, "too long", correct=False))
            elif example.id in answered:
                verdicts.append(_verdict(example.id, repeat, sample, metric, task))
    return verdicts


def _unchanged_commit(
    task: str, folder: str | None, metadata: Mapping[str, Any], facts: Mapping[str, Any] | None
) -> str | None:
    """Return the commit of a task's data; raises UserError where what lies here is not what was planned with."""
    planned = dict(facts or {})
    commit = planned.pop("commit", None)
    if planned and planned != local_facts(task, folder, metadata):
        raise UserError(
            f"task {task}: its definition, or a file that it reads, has changed since this step was planned; run the "
            "same command again."
        )
    return commit


def _verdict(name: str, repeat: int, sample: Mapping[str, Any], named: str | None, task: str) -> Verdict:
    metric: str = named or sample["metrics"][0]
    if metric not in sample["metrics"]:
        raise UserError(f"grader.metric={metric}: task {task} has {', '.join(sample['metrics'])}.")
    value = sample[metric]
    if value not in (0, 1):
        raise UserError(
            f"grader.metric={metric}: task {task} gives {value}; allowed are metrics that say right or wrong."
        )
    return Verdict(name, repeat, "correct" if value else "wrong", correct=bool(value))


def _first_filter(samples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    first = samples[0]["filter"]
    return sorted((entry for entry in samples if entry["filter"] == first), key=lambda entry: entry["doc_id"])


def _load(
    task: str,
    folder: str | None,
    metadata: Mapping[str, Any],
    frozen: Sequence[Mapping[str, Any]] | None = None,
    commit: str | None = None,
) -> Any:
    """Load a task, its data at a commit; with frozen documents it scores those, whatever its own data are now."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise require("lm_eval") from error
    import logging

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    definition = find_definition(task, folder)
    own = any(definition.is_relative_to(directory) for directory in task_directories(folder))
    include: Any = [str(path) for path in task_directories(folder) if path.is_dir()]
    values = merged(list(included(definition)))
    asked: Any = task
    settings = {**(values.get("metadata") or {}), **metadata}
    if commit and "repository" in settings:
        metadata = {**metadata, "revision": commit}
    elif commit:
        # A group of one is how lm-eval lets a task's settings be changed.
        pinned = {**(values.get("dataset_kwargs") or {}), "revision": commit}
        asked = {"group": "pinned", "task": [{"task": task, "dataset_kwargs": pinned}]}
    with without_bytecode():
        manager = TaskManager(include_path=include, include_defaults=not own, metadata=dict(metadata))
        loaded: Any = {"tasks": manager.load([asked])["tasks"], "groups": {}, "group_map": {}}
    for built in loaded["tasks"].values():
        built.set_config("repeats", 1)
        built.set_fewshot_seed(SHOTS_SEED)
        if frozen is not None:
            from datasets import Dataset

            built.set_config("num_fewshot", 0)  # the prompts were made when they were recorded
            built.dataset = _Splits(Dataset.from_list([dict(document) for document in frozen]))
            built.set_config("process_docs", None)
    return loaded


class _Splits:
    """Stands for a task's own data: whatever split is asked for, it is the frozen documents."""

    def __init__(self, documents: Any) -> None:
        self.documents = documents

    def __getitem__(self, split: str) -> Any:
        return self.documents


def _evaluate(model: Any, loaded: Any, limit: int | None) -> dict[str, Any]:
    from lm_eval import utils
    from lm_eval.evaluator import evaluate

    with _compiled_once(utils.env):
        results = evaluate(
            lm=model, task_dict=loaded, limit=limit, apply_chat_template=True, bootstrap_iters=0, log_samples=True
        )
    assert results is not None
    return dict(results)


@contextmanager
def _compiled_once(environment: Any) -> Iterator[None]:
    """Have a Jinja environment keep the templates that it compiles; lm-eval's would be compiled for each document."""
    environment.from_string = lru_cache(maxsize=64)(environment.from_string)
    try:
        yield
    finally:
        del environment.from_string  # the class's own is there again


def _language_model(answers: Sequence[str] | None = None) -> Any:
    """Return an lm-eval model that records requests and answers each document with what is stored, or nothing."""
    from lm_eval.api.model import LM

    class Stored(LM):
        def __init__(self) -> None:
            super().__init__()
            self.requests: list[Any] = []

        @property
        def tokenizer_name(self) -> str:
            return "messages"

        def apply_chat_template(self, chat_history: list[Message], add_generation_prompt: bool = True) -> str:
            return json.dumps(chat_history)

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            self.requests = requests
            if answers is None:
                return [""] * len(requests)
            return [answers[int(request.doc_id)] for request in requests]

        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise UserError("This task asks for log-likelihoods; allowed are generate_until tasks.")

        def loglikelihood_rolling(self, requests: list[Any]) -> list[Any]:
            return self.loglikelihood(requests)

    return Stored()


def messages_of(context: str) -> list[Message]:
    """Return the messages of a recorded context."""
    return [{"role": message["role"], "content": message["content"]} for message in json.loads(context)]


def prompt_hash(context: str) -> str:
    """Return the hash that stands for the messages of a recorded context (16 hex digits)."""
    return hashlib.sha256(json.dumps(messages_of(context)).encode()).hexdigest()[:16]


def _until(arguments: Mapping[str, Any]) -> list[str]:
    until = arguments.get("until") or []
    return [until] if isinstance(until, str) else list(until)


def cut(answer: str, until: Sequence[str]) -> str:
    """Return an answer up to the first of the task's stop strings; they never apply to the thinking."""
    ends = [answer.index(stop) for stop in until if stop and stop in answer]
    return answer[: min(ends)] if ends else answer
