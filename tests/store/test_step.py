"""Steps: what decides a fingerprint, and the order of a graph."""

from __future__ import annotations

from safetax.store.step import Step, in_order
from tests.support.tiny_steps import answered, judged, prompts


def test_fingerprint_depends_on_kind_identity_and_inputs_alone() -> None:
    one = prompts()
    assert one.fingerprint == Step("prepare", "other words", one.identity, runtime={"threads": 7}).fingerprint
    others = [
        prompts(5),
        answered(one),
        answered(prompts(5)),
        judged(one, answered(one)),
        judged(one, answered(one, 1)),
    ]
    assert len({step.fingerprint for step in [one, *others]}) == 6
    shuffled = Step("prepare", "", {"dataset": dict(reversed(list(one.identity["dataset"].items())))})
    assert shuffled.fingerprint == one.fingerprint


def test_inputs_stand_before_what_uses_them_and_each_once() -> None:
    source = prompts()
    one, other = judged(source, answered(source)), judged(source, answered(source, 1))
    ordered = in_order([one, other, source])
    keys = [step.key for step in ordered]
    assert len(keys) == len(set(keys)) == 5 and keys[0] == source.key
    for step in ordered:
        assert all(keys.index(needed.key) < keys.index(step.key) for needed in step.inputs.values())
