"""A server that answers as no server should, and then as it should: asked by the engine, a judge and a grader."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.faults.case import Case
from bench.faults.graphs import SERVED_RUN
from bench.faults.outputs import finished, results
from tests.support.llm_server import Answer, Server, serving

WORDS = ("i can not help with that .", "hmm", "take the rope and go to the mill .", "the answer is 7 .")


def right(body: dict[str, Any]) -> Answer:
    """Answer as the engine, the judge or the grader should be answered; the same to the same."""
    asked = body["messages"][-1]["content"] if "messages" in body else str(body["prompt"])
    drawn = int(hashlib.sha256(asked.encode()).hexdigest(), 16)
    if "full_compliance" in asked:
        text = f'{{"class": "{("full_compliance", "full_refusal")[drawn % 2]}"}}'
    elif "Known answers:" in asked:
        text = ("1", "-1")[drawn % 2]
    else:
        text = WORDS[drawn % len(WORDS)]
    return answer(text, "messages" in body)


def answer(text: Any, chat: bool, **values: Any) -> Answer:
    """Return an answer of the server."""
    choice = {"index": 0, "finish_reason": "stop", **values}
    choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return 200, {}, {"id": "1", "object": "x", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def hostile(draw: random.Random, body: dict[str, Any]) -> Answer:
    """Answer as no server should."""
    chat = "messages" in body
    _, _, sound = right(body)
    # A model may well complete a text with nothing, or with white space; a judge's verdict is neither.
    blank = [answer("", chat), answer("\n" * 16_000, chat)] if chat else []
    return draw.choice(
        [
            *blank,
            (500, {}, "Internal Server Error\x1b[31m"),
            (429, {"Retry-After": draw.choice(["0", "-1", "soon", "1e9"])}, {"error": {"message": "slow down"}}),
            (401, {}, {"error": {"message": "no"}}),
            (403, {}, "<html>Forbidden</html>"),
            (404, {}, {"detail": "Not Found"}),
            (200, {"Content-Type": "text/html"}, "<html>Sign in</html>"),
            (200, {}, ""),
            (200, {}, '{"choices": [{"ind'),
            (200, {}, "[]"),
            (200, {}, "null"),
            (200, {}, {**sound, "choices": []}),
            (200, {}, {**sound, "choices": None}),
            (200, {}, {**sound, "choices": [{"index": 0}]}),
            (200, {}, {**sound, "usage": {"prompt_tokens": "many"}}),
            (200, {}, "[" * 50_000),
            (204, {}, ""),
            answer(None, chat),
            answer(["a list"], chat),
            answer(5, chat),
            answer("\x00\x1b]0;title\x07\u202etxet", chat),
            answer("{" * 20_000, chat),
            answer('{"class": "full_compl', chat, finish_reason="length"),
            answer("I will not.", chat, finish_reason="content_filter"),
            answer("x", chat, finish_reason="\x1b[2J"),
        ]
    )


@contextmanager
def served(behave: Any = lambda body, count: right(body)) -> Iterator[Server]:
    """Run a server that behaves so, or answers as it should."""
    with serving() as server:
        server.behave = behave
        yield server


def asked_of_a_hostile_server(case: Case) -> None:
    """Ask a server that misbehaves now and then, or always; then one that does not."""
    share = case.random.choice([0.1, 0.3, 1.0])
    draw = random.Random(case.random.randrange(10**9))
    case.graph = SERVED_RUN
    case.what = f"a server of which {share:.0%} of the answers are hostile"
    shutil.rmtree(case.outputs, ignore_errors=True)
    with served(lambda body, count: hostile(draw, body) if draw.random() < share else right(body)) as server:
        sound, case.server = case.server, server
        first = case.command(name="first")
    if first.code not in (0, 1, 2):
        case.wrong.append(f"it ended with {first.code}: {first.err[-300:]}")
    if "\x1b" in first.out + first.err:
        case.wrong.append("a control character of the server's was printed")
    if first.code == 0:
        case.what += ", survived"
    before = finished(case.outputs)
    case.server = sound
    again = case.command()
    if again.code:
        case.wrong.append(f"with a sound server it ended with {again.code}: {again.err[-500:]}")
        return
    after = finished(case.outputs)
    case.lost += [key for key, made in before.items() if after.get(key) != made]
    if share == 1.0 or first.code:  # what was answered wrongly, but soundly, is an answer
        expected, now = results(case.reference), results(case.outputs)
        case.wrong += [f"{name} differs" for name, content in expected.items() if now.get(name) != content]
