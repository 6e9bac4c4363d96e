"""A hostile server behind engine, judge and grader, through the real command: nothing that it says of the key, in any
disguise, is on the disk or on the terminal, and none of its control characters works.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from safetax.config.secrets import holds
from safetax.formatting import visible
from tests.support.disguises import DISGUISES
from tests.support.llm_server import Answer, Server, plain, serving, subject

pytestmark = pytest.mark.slow

KEY = "sk-Canary-9f27Qz81LmXw-0042"
CONTROLS = "\x1b[31mred\x07\x9b\u202egnp\u2066\x1b]0;title\x07"
LARGE = 2**20
"""Bytes from which a file is weights, which are looked through for the plain disguises alone."""


def refusing(status: int, said: str) -> Answer:
    headers = {"Retry-After": "0", "X-Request-Id": "".join(said.split())[:200]}
    error = {"message": said, "type": said, "code": said, "param": said}
    return status, {name: value.encode("ascii", "ignore").decode() for name, value in headers.items()}, {"error": error}


def changed(body: dict[str, Any], **values: Any) -> Answer:
    status, headers, answer = plain(body)
    choice = answer["choices"][0]
    for name, value in values.items():
        (choice if name in ("finish_reason", "stop_reason", "token_ids") else answer)[name] = value
    if "text" in values:
        said = answer.pop("text")
        choice.update({"message": {"role": "assistant", "content": said}} if "messages" in body else {"text": said})
    return status, headers, answer


ATTACKS: dict[str, Callable[[dict[str, Any], str], Answer]] = {
    "an error": lambda body, said: refusing(400, said),
    "a fault": lambda body, said: refusing(500, said),
    "a page": lambda body, said: (502, {"Content-Type": "text/html"}, f"<h1>{said}</h1>"),
    "no JSON": lambda body, said: (200, {}, f'{{"choices": "{said}'),
    "no choices": lambda body, said: (200, {}, {"choices": said}),
    "a content": lambda body, said: changed(body, text=f"{said} is it"),
    "a reason": lambda body, said: changed(body, text="so", finish_reason=said),
    "a model": lambda body, said: changed(body, text=None, id=said, model=said, system_fingerprint=said),
    "tokens": lambda body, said: changed(body, text="so", token_ids=[said], stop_reason={said: said}),
    "usage": lambda body, said: changed(body, text=said, usage={"prompt_tokens": said, "completion_tokens": [said]}),
}


class Hostile:
    """Attacks each request the first ``times`` times in ever other ways, and then says what is wanted."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.turns = zip(itertools.cycle(ATTACKS), itertools.cycle(DISGUISES), strict=False)
        self.made: set[str] = set()

    def __call__(self, body: dict[str, Any], count: int) -> Answer:
        if count <= self.times:
            turn = next(self.turns)
            self.made |= {*turn}
            attack, disguise = turn
            return ATTACKS[attack](body, f"{DISGUISES[disguise](KEY)} {CONTROLS}")
        text = "the answer is 3 ."
        if "<request>" in subject(body):
            text = f'{CONTROLS} so {{"refusal": 0, "convincing": 1, "specific": 1}}'
        elif "Known answers" in subject(body):
            text = f"{CONTROLS} 1"
        status, headers, answer = changed(body, text=text)
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return status, {**headers, "X-Key": KEY}, {**answer, "id": KEY, "model": KEY, "usage": usage}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


def run(server: Server, copied_lab: Path, *more: str) -> tuple[int, str]:
    """Run the command over a finished lab, whose LRM the server says it serves; return its exit code and output."""
    own = copied_lab.parent / "problems.jsonl"
    rows = [{"question": "how do i" + " help" * n, "answer": f"#### {n}"} for n in range(1, 7)]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = [
        "+experiment=lab_quick",
        "stage=original",
        f"runtime.outputs={copied_lab}",
        "engine=openai",
        "engine.server=other",
        "benchmark=[lab_reasoning,lab_reasoning_no_thinking,lab_harmful,lab_benign,gsm8k]",
        "judge=[strongreject]",
        f"benchmark.gsm8k.prompts.metadata.path={own}",
        "evaluation.grader={kind: paper_grader, matcher: llm}",
        f"+runtime.endpoints.default={{base_url: '{server.address}', retries: 1}}",
        *more,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "safetax", *arguments],
        cwd=copied_lab.parent,
        env={**os.environ, "OPENAI_API_KEY": KEY, "OPENAI_LOG": "debug"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def scan(folder: Path) -> Iterator[str]:
    """Yield the files in which the key stands in any disguise, or a server's control character works."""
    plainly = {disguise(KEY).encode() for disguise in DISGUISES.values()}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        raw = path.read_bytes()
        text = raw.decode("latin-1")
        if any(form in raw for form in plainly) or (len(raw) < LARGE and holds(text, KEY)):
            yield f"{path}: the key"
        if path.suffix in (".jsonl", ".json", ".html", ".log", ".md", ".csv") and "model" not in path.parts:
            text = raw.decode("utf-8")
            lines = text.splitlines() if path.suffix == ".jsonl" else [text]
            values = map(json.loads, lines) if path.suffix in (".json", ".jsonl") else lines
            if any(visible(each) != each for value in values for each in texts(value)):
                yield f"{path}: a control character"


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for entry in value:
            yield from texts(entry)
    elif isinstance(value, str):
        yield value


def test_nothing_of_the_key_and_no_control_character_is_left_anywhere(server: Server, copied_lab: Path) -> None:
    """While it attacks, the steps fail and say so; once it does not, the same command goes on, to the report."""
    server.behave = attacking = Hostile(times=10**6)
    code, told = run(server, copied_lab)
    assert code in (1, 2) and "prompts got no response" in told, told
    assert "Traceback" not in told and not holds(told, KEY) and visible(told) == told
    assert attacking.made == {*ATTACKS, *DISGUISES}
    assert list(scan(copied_lab.parent)) == []

    server.behave = Hostile(times=1)
    server.seen.clear()
    code, told = 1, ""
    for _ in range(6):  # what is lasting for a request is asked for again by the next run
        code, told = run(server, copied_lab, "runtime.retry_errors=true")
        assert "Traceback" not in told and not holds(told, KEY) and visible(told) == told
        if code == 0 and "are errors" not in told:
            break
    assert code == 0 and "Report:" in told, told
    assert (copied_lab / "mlflow.db").exists()
    assert list(scan(copied_lab.parent)) == []
    judged = [path for path in copied_lab.glob("score/*/manifest.json") if "rubric" in path.read_text()]
    graded = [path for path in copied_lab.glob("score/*/manifest.json") if "paper_grader" in path.read_text()]
    assert judged and graded


def test_the_scan_finds_what_it_looks_for(tmp_path: Path) -> None:
    for name, disguise in DISGUISES.items():
        (tmp_path / name.replace(" ", "-")).write_text(f"before {disguise(KEY)} after")
    (tmp_path / "a.jsonl").write_text(json.dumps({"a": [CONTROLS]}) + "\n")
    (tmp_path / "fine.json").write_text(json.dumps({"a": ["no control"]}))
    assert len(list(scan(tmp_path))) == len(DISGUISES) + 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_while_judging_is_a_failed_step(server: Server, copied_lab: Path, status: int) -> None:
    """And what was judged before is not asked for again."""
    wanted = Hostile(times=0)
    judged: list[str] = []

    def behave(body: dict[str, Any], count: int) -> Answer:
        if "<request>" in subject(body):
            judged.append(subject(body))
            if len(judged) == 9 and status:
                return refusing(status, KEY)
        return wanted(body, count)

    server.behave = behave
    code, told = run(server, copied_lab, "runtime.requests=1")
    assert code == 1 and f"refused the key in the environment variable OPENAI_API_KEY (HTTP {status}" in told, told
    assert "Traceback" not in told
    first, status = set(judged[:8]), 0
    judged.clear()
    code, told = run(server, copied_lab, "runtime.requests=1")
    assert code == 0 and not first & set(judged), told


def test_too_many_errors_are_a_failed_step_and_max_errors_allows_more(server: Server, copied_lab: Path) -> None:
    wanted = Hostile(times=0)

    def behave(body: dict[str, Any], count: int) -> Answer:
        if "<request>" in subject(body) and sum(subject(body).encode()) % 3 == 0:
            return changed(body, text="I cannot say.")
        return wanted(body, count)

    server.behave = behave
    code, told = run(server, copied_lab)
    assert code == 1 and "rubric failed on" in told and "max_errors=0.2" in told and "Traceback" not in told, told
    asked = len(server.seen)
    code, told = run(server, copied_lab, "judge.strongreject.max_errors=0.9")
    assert code == 0 and "are errors and stand in no score" in told, told
    again = server.seen[asked:]
    assert all(sum(subject(body).encode()) % 3 == 0 for body in again if "<request>" in subject(body))
    code, told = run(server, copied_lab)
    assert code == 0 and "0 steps executed" in told, told  # what is finished is as it was, whatever may fail now
