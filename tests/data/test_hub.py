"""What the hub says of an error is told without the token, in any disguise."""

from __future__ import annotations

import base64
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from safetax.data import hub
from safetax.errors import UserError
from safetax.evaluation.judging import models
from safetax.report.hub import push
from safetax.store.step import Step

TOKEN = "hf_" + "aB3dE5fG7h" * 3
DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "reversed": lambda token: token[::-1],
    "base64": lambda token: base64.b64encode(f"Bearer {token}".encode()).decode(),
    "hex": lambda token: token.encode().hex(),
    "quoted": lambda token: quote(token.replace("_", "%5F")),
    "spaced": " ".join,
    "a part": lambda token: token[4:28],
}


def downloaded(error: OSError, patch: pytest.MonkeyPatch) -> str:
    def fails(*_: Any, **__: Any) -> str:
        raise error

    patch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(UserError) as raised:
        hub.download("some/model", None)
    return str(raised.value)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_no_message_of_the_hub_holds_the_token(disguise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    shown = DISGUISES[disguise](TOKEN)
    error = OSError(f"the account of {shown} may not read this\nat all")
    answer = SimpleNamespace(response=SimpleNamespace(status_code=500), server_message=f"no: {shown}")
    target = push.Target("model", "some/model", Step("train", "", {}, {}))
    model: Any = SimpleNamespace(id="some/judge", kind="wildguard")
    told = [
        downloaded(error, monkeypatch),
        hub.said(error),
        str(push._refusal(target, answer)),
        models._why(model, error),
    ]
    for message in told:
        assert shown not in message and "holds the token" in message


def test_what_the_hub_says_is_told_where_it_holds_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    error = OSError("the account may not read this\x1b[31m.\nat all")
    error.__cause__ = ValueError("it is closed")
    assert downloaded(error, monkeypatch).startswith("id=some/model: it cannot be downloaded (the account may not read")
    assert hub.said(error, lines=3).endswith("at all it is closed") and "\x1b" not in hub.said(error)
    assert hub.said(OSError()) == "OSError"
