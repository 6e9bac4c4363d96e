"""Asks models behind OpenAI's interface: several requests at a time, retried, and never the same one twice.

An answer that can be read is kept on disk as soon as it is there, under the hash of what was asked, so that an
interrupted step goes on where it stopped and another step that asks the same pays nothing. What a server sends besides
its answer is never kept nor shown: errors are told in words of our own. This is the one module that imports openai.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from safetax.config.messages import nearest, show
from safetax.config.runtime import Endpoint
from safetax.config.secrets import holds
from safetax.errors import ConfigError, StepError, UserError, require
from safetax.evaluation.concurrency import as_they_finish
from safetax.evaluation.llm.replies import Reply, places, read_reply, reply_of, write_reply
from safetax.evaluation.llm.retries import RequestError, cause_of, refused, with_retries
from safetax.formatting import visible

Method = Literal["chat", "complete"]

SLOWEST = 10.0
"""Tokens a second that a busy server is given time for: no answer is there before its last token is."""


class Client:
    """A model on a server.

    Args:
        endpoint: values of :class:`safetax.config.schema.Endpoint`; what is missing has that class's defaults.
        model: name of the model on the server.
        cache: folder for answers; None keeps none.
        requests: how many requests may be under way at a time.
        name: the endpoint's name in the configuration, for messages.

    Raises:
        UserError: the base_url is no address or holds a secret, or OpenAI's own server is to be asked and the key is
            not set.
    """

    def __init__(
        self, endpoint: Mapping[str, Any], model: str, cache: Path | None, requests: int, name: str = "default"
    ) -> None:
        self.model = model
        self.cache = cache
        self.requests = requests
        self.path = f"runtime.endpoints.{name}"
        try:
            self.endpoint = Endpoint(**endpoint)
        except ConfigError as error:
            raise ConfigError(f"{self.path}.{error}") from None
        self._key = os.environ.get(self.endpoint.key) or ""
        if not self._key and self.endpoint.base_url is None:
            raise UserError(
                f"{self.path}.key={self.endpoint.key}: the environment variable {self.endpoint.key} is not set; export "
                f"it with the key of the server, or set {self.path}.base_url to a server that needs none."
            )
        try:
            from openai import OpenAI
        except ImportError as error:
            raise require("openai") from error
        for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):  # else they may log what is sent and heard
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._server = OpenAI(api_key=self._key or "none", base_url=self.endpoint.address, max_retries=0)
        self._guard = threading.Lock()
        self._counts = {"requests": 0, "cached": 0, "failed": 0, "prompt_tokens": 0, "completion_tokens": 0}
        self._answered = False

    def chat(
        self, asked: Sequence[Mapping[str, Any]], readable: Callable[[int, str], bool] = lambda index, text: True
    ) -> Iterator[tuple[int, Reply]]:
        """Ask for the assistant's turn of conversations and yield the index of each with its reply, as they finish.

        Args:
            asked: ``{"messages", "temperature", "max_tokens"}`` and whatever else the server knows (``seed``,
                ``top_p``, ``stop`` ..). Equal requests are samples of their own, told apart by how often they came
                before in ``asked``, or by ``repeat`` where that is given; it is not sent.
            readable: whether the answer to a request, by its index, can be read; one that cannot is not kept on disk,
                so that it is asked for again.

        Raises:
            UserError: before it ever answered, the server knew no such model.
            StepError: the server refused the key, or before it ever answered could not be reached or never did.
        """
        return self._ask("chat", asked, readable)

    def complete(self, asked: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Reply]]:
        """Ask for the continuation of texts; as :meth:`chat`, with ``prompt`` (text or token ids) for ``messages``."""
        return self._ask("complete", asked, lambda index, text: True)

    def close(self) -> None:
        """Close the connections to the server."""
        self._server.close()

    def usage(self) -> dict[str, Any]:
        """Return what was used: counts of requests by their end, tokens and cost of what was not in the cache.

        The cost is None unless the endpoint has both prices.
        """
        with self._guard:
            counts = dict(self._counts)
        price_in, price_out, cost = self.endpoint.price_in, self.endpoint.price_out, None
        if price_in is not None and price_out is not None:
            cost = (price_in * counts["prompt_tokens"] + price_out * counts["completion_tokens"]) / 1e6
        return {**counts, "cost": cost}

    def _sent(self, request: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """Return the arguments of a request; what only some servers know goes along as it is."""
        from openai import Timeout

        rest = {key: value for key, value in request.items() if key not in (subject, "repeat") and value is not None}
        if self.endpoint.base_url is None and subject == "messages" and "max_tokens" in rest:
            # OpenAI's newer models know no other name; other servers may know only the older one.
            rest["max_completion_tokens"] = rest.pop("max_tokens")
        timeout = Timeout(self._seconds(request), connect=self.endpoint.timeout)
        return {"model": self.model, subject: request[subject], "extra_body": rest, "timeout": timeout}

    def _seconds(self, request: Mapping[str, Any]) -> float:
        """Return the seconds that a request may take."""
        return self.endpoint.timeout + (request.get("max_tokens") or 0) / SLOWEST

    def _ask(
        self, method: Method, asked: Sequence[Mapping[str, Any]], readable: Callable[[int, str], bool]
    ) -> Iterator[tuple[int, Reply]]:
        missing: list[tuple[int, Path | None]] = []
        for index, place in enumerate(places(self.cache, method, self.model, asked)):
            kept = read_reply(place)
            if kept is None or (found := self._checked(method, kept)).text is None or not readable(index, found.text):
                missing.append((index, place))
            else:
                self._count(found)
                yield index, found
        stop = threading.Event()

        def answer(item: tuple[int, Path | None]) -> Reply:
            index, place = item
            reply = self._answer(method, asked[index], stop)
            if place is not None and reply.text is not None and readable(index, reply.text):
                write_reply(place, reply)
            return reply

        try:
            for (index, _), reply in as_they_finish(answer, missing, self.requests, "llm"):
                yield index, reply
        finally:
            stop.set()

    def _answer(self, method: Method, request: Mapping[str, Any], stop: threading.Event) -> Reply:
        try:
            reply = with_retries(lambda: self._once(method, request), self.endpoint.retries, stop)
        except RequestError as failure:
            self._give_up(failure.reason, str(failure))
            reply = Reply(error=str(failure))
        self._answered |= reply.error is None
        self._count(reply)
        return reply

    def _once(self, method: Method, request: Mapping[str, Any]) -> Reply:
        """Send a request. Raises RequestError where no usable answer comes."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        try:
            if method == "chat":
                answer = self._server.chat.completions.create(**self._sent(request, "messages"))
            else:
                answer = self._server.completions.create(**self._sent(request, "prompt"))
            return self._checked(method, reply_of(answer))
        except APIStatusError as failure:
            raise refused(failure.status_code, failure.code, failure.response.headers) from None
        except APITimeoutError as failure:
            if type(failure.__cause__).__name__ == "ConnectTimeout":
                raise RequestError(f"not reached within {self.endpoint.timeout:g} s", "unreachable") from None
            raise RequestError(f"no answer within {self._seconds(request):g} s", "slow") from None
        except APIConnectionError as failure:
            raise RequestError(f"not reached ({cause_of(failure)})", "unreachable") from None
        except Exception as failure:  # whatever a server that does not speak the interface makes of the library
            raise RequestError(f"no usable answer ({cause_of(failure)})") from None

    def _checked(self, method: Method, reply: Reply) -> Reply:
        """Return a reply as it is used: none that was cut, save a text to go on from, and none that holds the key."""
        if reply.text is None:
            return reply
        if reply.finish_reason != "stop" and (method == "chat" or reply.finish_reason != "length"):
            return replace(
                reply, text=None, error=f"the reply was cut (finish_reason {reply.finish_reason or 'unknown'})"
            )
        if told := self.leak(reply.text):
            return replace(reply, text=None, error=told)
        # What goes on from a text goes on from it as it is.
        return replace(reply, text=visible(reply.text)) if method == "chat" else reply

    def leak(self, text: str) -> str | None:
        """Return why a text cannot be kept, if it holds the server's key, plain or in a disguise."""
        told = f"the server sent back the key in the environment variable {self.endpoint.key}, or a disguise of it"
        return told if holds(text, self._key) else None

    def _give_up(self, reason: str, error: str) -> None:
        """Raise where a server will not answer the other requests either: it refused the key, or never answered."""
        address = self.endpoint.address
        if reason == "key":
            raise StepError(
                f"{self.path}: {address} refused the key in the environment variable {self.endpoint.key} ({error}); "
                "set one that may use the model. What is finished is kept: run the same command again to go on."
            )
        if self._answered or not reason:
            return
        if reason == "slow":
            raise StepError(
                f"{self.path}.timeout={self.endpoint.timeout:g}: {address} was reached and gave {error}; raise it, or "
                "lower runtime.requests or the tokens that are asked for; if the server hangs, start it anew."
            )
        if reason == "unreachable":
            raise StepError(
                f"{self.path}.base_url={show(self.endpoint.base_url)}: {address}: {error}; start the server, or name "
                "one that can be reached."
            )
        raise UserError(
            f"{self.path}: {address} does not answer for the model {self.model} ({error}); check {self.path}.base_url, "
            "the model's name, and what the key may use."
        )

    def _count(self, reply: Reply) -> None:
        with self._guard:
            if reply.cached:
                self._counts["cached"] += 1
                return
            self._counts["requests"] += 1
            self._counts["failed"] += reply.error is not None
            self._counts["prompt_tokens"] += reply.prompt_tokens
            self._counts["completion_tokens"] += reply.completion_tokens


def connect(runtime: Mapping[str, Any], name: str, model: str, cache: Path | None) -> Client:
    """Return a client for an endpoint by its name among a step's runtime settings.

    Raises:
        UserError: no endpoint has that name, or as :class:`Client`.
    """
    endpoints = runtime.get("endpoints") or {}
    if name not in endpoints and name != "default":
        raise UserError(
            f"endpoint={name}: runtime.endpoints has no such entry.{nearest(name, endpoints, 'runtime.endpoints')} It "
            f"has {', '.join(endpoints) or 'none'}; add one with +runtime.endpoints.{name}.base_url=.."
        )
    return Client(endpoints.get(name) or {}, model, cache, runtime.get("requests") or 16, name)
