"""Replies on disk: one file for each request, whole or as good as none."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from safetax.evaluation.llm.replies import Reply, places, read_reply, write_reply


def test_a_request_has_one_place_whatever_the_order_of_its_keys(tmp_path: Path) -> None:
    one = {"messages": [], "seed": 1}
    found = list(
        places(tmp_path, "chat", "m", [one, {"seed": 1, "messages": []}, {**one, "repeat": 0}, {**one, "top_p": None}])
    )
    assert found[0] == found[2] and len(set(found)) == 3  # equal ones are samples of their own
    assert set(found).isdisjoint(places(tmp_path, "complete", "m", [one]))
    assert set(found).isdisjoint(places(tmp_path, "chat", "other", [one]))
    assert list(places(None, "chat", "m", [one, one])) == [None, None]


def test_a_reply_comes_back_as_it_was_but_for_being_cached(tmp_path: Path) -> None:
    place = tmp_path / "ab" / "reply.json"
    write_reply(place, Reply("said", None, 7, 3, finish_reason="stop", stop_reason=5, tokens=[1, 2]))
    assert read_reply(place) == Reply(
        "said", None, 7, 3, cached=True, finish_reason="stop", stop_reason=5, tokens=[1, 2]
    )
    for damage in ("", "{", "[]", '{"text": "x", "unknown": 1}', "null"):
        place.write_text(damage)
        assert read_reply(place) is None, damage
    assert read_reply(None) is None and read_reply(tmp_path / "absent.json") is None


def test_a_reply_that_was_changed_or_is_anothers_is_asked_again(tmp_path: Path) -> None:
    reply = Reply("yes", None, 7, 3, False, "stop")
    place, other = tmp_path / "one.json", tmp_path / "other.json"
    write_reply(place, reply)
    place.rename(other)
    assert read_reply(other) is None
    write_reply(place, reply)
    place.write_text(place.read_text().replace("yes", "no"))
    assert read_reply(place) is None
    for change in ({"text": 5}, {"tokens": "x"}, {"prompt_tokens": None}, {"text": ["yes"]}):
        place.write_text(json.dumps({**asdict(reply), **change}))
        assert read_reply(place) is None, change
    place.write_text(json.dumps(asdict(reply)))
    assert read_reply(place) == replace(reply, cached=True), "one of an earlier version"
