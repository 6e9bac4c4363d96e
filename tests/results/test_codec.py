"""How records are written as JSON and read again."""

from __future__ import annotations

from dataclasses import dataclass, field

from safetax.results.codec import ALWAYS, UNWRITTEN, from_json, to_json
from safetax.results.document import Score


def test_what_does_not_apply_is_left_out_and_numbers_have_six_places() -> None:
    score = Score(1 / 3, -1e-9, 2.0, 5, 0, 0, "score")
    assert to_json(score) == {
        "value": 0.333333,
        "low": 0.0,
        "high": 2.0,
        "n": 5,
        "truncated": 0,
        "errors": 0,
        "interval": "score",
    }
    assert str(to_json(score)["low"]) == "0.0", "no minus before nothing"
    assert from_json(Score, {**to_json(score), "unique": None}) == from_json(Score, to_json(score))


@dataclass(frozen=True)
class Kept:
    """A record with fields of every kind."""

    origin: str = field(metadata={"key": "from"})
    often: tuple[int, ...] = field(default=(), metadata=ALWAYS)
    never: str = field(default="", metadata=UNWRITTEN)


def test_metadata_say_how_a_field_is_written() -> None:
    assert to_json(Kept("table", never="secret")) == {"from": "table", "often": []}
    assert from_json(Kept, {"from": "table"}) == Kept("table")
