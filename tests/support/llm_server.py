"""A real HTTP server that speaks OpenAI's interface, for tests of what asks one."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], Any]
"""Status, headers and body (JSON, or text as it is) of a server's answer."""


@dataclass
class Server:
    """A server of OpenAI's interface that says what it was asked, or what a test wants."""

    address: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    pause: float = 0.0
    behave: Callable[[dict[str, Any], int], Answer | None] = lambda body, count: None
    guard: threading.Lock = field(default_factory=threading.Lock)

    def endpoint(self, **values: Any) -> dict[str, Any]:
        return {"base_url": self.address, "retries": 3, "timeout": 10.0, **values}


def subject(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"] if "messages" in body else str(body["prompt"])


def plain(body: dict[str, Any]) -> Answer:
    text = f"said: {subject(body)}"
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice |= {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return 200, {}, {"id": "1", "object": "x", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Run a server while the block runs."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            sent = self.rfile.read(length)
            if len(sent) < length:  # whoever asked was killed
                return
            body = json.loads(sent)
            with state.guard:
                state.seen.append(body)
                state.paths.append(self.path)
                state.keys.append(self.headers["Authorization"])
                state.times.append(time.monotonic())
                state.in_flight += 1
                state.most_in_flight = max(state.most_in_flight, state.in_flight)
                count = sum(subject(other) == subject(body) for other in state.seen)
            time.sleep(state.pause)
            status, headers, answer = state.behave(body, count) or plain(body)
            with state.guard:
                state.in_flight -= 1
            written = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", headers.pop("Content-Type", "application/json"))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on the terminal."""

    class Http(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Tell an error of the test's; whoever asked may have been killed."""
            if not isinstance(sys.exc_info()[1], ConnectionError):
                super().handle_error(request, client_address)

    http = Http(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.address = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
