"""Rows from the hub: the commit that was planned and no other, and one message for whatever cannot be had."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from safetax.data.hub import UnreachableError, model_facts
from safetax.errors import ConfigError
from tests.support.hub_stand_in import Hub, running

LOADS = """
import json, sys
from safetax.errors import UserError
from safetax.data.sources import hub
for settings in json.loads(sys.stdin.read()):
    try:
        print(json.dumps(len(hub.load(hub.Config("hub", **settings)))))
    except UserError as error:
        print(json.dumps(str(error)))
"""

PLANS = """
import sys
from pathlib import Path
from safetax.store.status import Store
from tests.support.prepared import planned
step = planned("world=paper", "dataset=limo", "world.limo.columns={solution: trace}", *sys.argv[2:])
print(Store(Path(sys.argv[1])).freeze(step))
"""


def rows(version: int, count: int = 3) -> str:
    lines = [{"question": f"{version}, {i}?", "trace": "Let me see.", "answer": str(i)} for i in range(count)]
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running() as served:
        yield served


def load(hub: Hub, home: Path, *settings: Mapping[str, object], **environment: str) -> list[int | str]:
    """The number of rows, or the message, for each row source."""
    done = hub.python(LOADS, home, stdin=json.dumps(settings), **environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_table_of_tabs_is_read_as_one(hub: Hub, tmp_path: Path) -> None:
    card = "---\nconfigs:\n- config_name: eval\n  data_files:\n  - {split: train, path: eval/eval.tsv}\n---\n"
    table = 'adversarial\tdata_type\nPlease, tell, me\tharmful\n"two\nlines"\tbenign\n'
    commit = hub.put("allenai/wildjailbreak", {"README.md": card, "eval/eval.tsv": table})
    code = LOADS.replace('len(hub.load(hub.Config("hub", **settings)))', 'hub.load(hub.Config("hub", **settings))')
    part = {"id": "allenai/wildjailbreak", "subset": "eval", "revision": commit}
    done = hub.python(code, tmp_path, stdin=json.dumps([part]))
    assert json.loads(done.stdout) == [
        {"adversarial": "Please, tell, me", "data_type": "harmful"},
        {"adversarial": "two\nlines", "data_type": "benign"},
    ], done.stderr


@pytest.mark.slow
def test_the_worker_loads_the_commit_that_was_planned(hub: Hub, tmp_path: Path) -> None:
    home, outputs = tmp_path / "home", tmp_path / "outputs"
    first = hub.put("GAIR/LIMO", {"limo.jsonl": rows(1)})
    done = hub.python(PLANS, home, str(outputs))
    assert done.returncode == 0, done.stderr
    step = Path(done.stdout.strip())
    identity = json.loads((step / "step.json").read_text())["identity"]["dataset"]["rows"]
    assert (identity["revision"], identity["resolved"]) == ("main", {"commit": first})

    second = hub.put("GAIR/LIMO", {"limo.jsonl": rows(2)})
    hub.asked.clear()
    done = hub.python("from safetax.workers.prepare import *; sys.exit(run_by_hand(work))", home, str(step))
    assert done.returncode == 0, done.stderr
    examples = [json.loads(line) for line in (step / "examples.jsonl").read_text().splitlines()]
    assert [example["messages"][0]["content"] for example in examples] == ["1, 0?", "1, 1?", "1, 2?"]
    assert {example["thinking"] for example in examples} == {"Let me see.\n"}
    assert any(f"/resolve/{first}/limo.jsonl" in asked for asked in hub.asked)
    assert not any(second in asked for asked in hub.asked)

    again = hub.python(PLANS, home, str(outputs))
    assert Path(again.stdout.strip()) != step, "a branch that has moved is another data set"

    offline = load(hub, home, {"id": "GAIR/LIMO", "revision": first}, HF_HUB_OFFLINE="1")
    assert offline == [3]
    (other,) = load(hub, home, {"id": "GAIR/LIMO", "revision": second}, HF_HUB_OFFLINE="1")
    assert f"the newest commit in the local cache is {first}" in str(other)


def test_a_folder_of_the_same_name_is_not_taken_for_the_repository(hub: Hub, tmp_path: Path) -> None:
    commit = hub.put("tests/data", {"rows.jsonl": rows(1, count=7)})  # the process works in the checkout
    assert load(hub, tmp_path, {"id": "tests/data", "revision": commit}) == [7]


@pytest.mark.slow
def test_whatever_cannot_be_had_is_one_message(hub: Hub, tmp_path: Path) -> None:
    hub.put("some/rows", {"rows.jsonl": rows(1)})
    hub.put("some/gated", {"rows.jsonl": rows(1)}, gated=True)
    hub.put("some/script", {"script.py": "print('code')"})
    hub.put("some/broken", {"rows.jsonl": rows(1) + "{not json"})
    card = "\n".join(
        [
            "---",
            "configs:",
            "- {config_name: one, data_files: [{split: train, path: one.jsonl}]}",
            "- {config_name: two, data_files: [{split: test, path: two.jsonl}]}",
            "---",
        ]
    )
    hub.put("some/parts", {"README.md": card, "one.jsonl": rows(1), "two.jsonl": rows(2, count=5)})
    cases: list[tuple[dict[str, object], list[str]]] = [
        ({"id": "some/gated"}, ["id=some/gated", "gated; accept its terms", "set HF_TOKEN in the environment"]),
        ({"id": "some/absent"}, ["id=some/absent", "the hub has none such; check the name"]),
        ({"id": "some/rows", "revision": "v9"}, ["revision=v9", "the hub has none such"]),
        ({"id": "some/rows", "split": "dev"}, ["split=dev: there is no such split; allowed are train."]),
        ({"id": "some/rows", "subset": "odd"}, ["subset=odd", "'odd' not found. Available: ['default']"]),
        ({"id": "some/parts"}, ["subset=null", "['one', 'two']"]),
        ({"id": "some/parts", "subset": "two"}, ["split=train: there is no such split; allowed are test."]),
        ({"id": "some/script"}, ["id=some/script", "scripts are no longer supported"]),
        ({"id": "some/broken"}, ["id=some/broken", "cannot be read as rows", "JSON parse error"]),
    ]
    right = [{"id": "some/parts", "subset": "two", "split": "test"}, {"id": "some/rows"}]
    *messages, part, whole = load(hub, tmp_path, *[settings for settings, _ in cases], *right)
    assert (part, whole) == (5, 3)
    for (settings, expected), message in zip(cases, messages, strict=True):
        assert isinstance(message, str), settings
        assert "\n" not in message
        for words in expected:
            assert words in message, settings
    assert load(hub, tmp_path, {"id": "some/gated", "gated": True}, HF_TOKEN=hub.token) == [3]
    (offline,) = load(hub, tmp_path, {"id": "some/absent"}, HF_HUB_OFFLINE="1")
    assert "the hub cannot be reached and the local cache lacks it" in str(offline)
    assert "kind=file and path" in str(offline)


def test_a_plan_names_what_the_hub_does_not_have(hub: Hub, tmp_path: Path) -> None:
    done = hub.python(PLANS, tmp_path / "home", str(tmp_path), "world.limo.id=some/absent")
    assert "ConfigError: dataset.rows.id=some/absent, revision=main: the hub has none such" in done.stderr
    done = hub.python(PLANS, tmp_path / "home", str(tmp_path), "world.limo.id=some/absent", HF_HUB_OFFLINE="1")
    assert "UnreachableError: dataset.rows.id=some/absent: HF_HUB_OFFLINE is set" in done.stderr
    done = hub.python(PLANS, tmp_path / "home", str(tmp_path), "world.limo.id=data/limo/rows.jsonl")
    assert "ConfigError: world.limo.id=data/limo/rows.jsonl: this is no repository of the hub" in done.stderr
    assert "kind=file and path" in done.stderr


def test_a_folder_that_is_not_there_is_no_name_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "weights").touch()
    for name in (f"{tmp_path}/none", "./none", "../none/none", "~/none/such", "a/b/c", "a b", "-x"):
        with pytest.raises(ConfigError, match=r"there is no such folder \(.*\), and it is no name on the hub") as told:
            model_facts(name, None)
        assert str(told.value).startswith(f"id={name}: ") and not isinstance(told.value, UnreachableError)
    with pytest.raises(ConfigError, match="weights: this is a file; name the folder"):
        model_facts(str(tmp_path / "weights"), None)
    assert model_facts("some/model", "0" * 40) == {"commit": "0" * 40}


PREFETCH = "from safetax.__main__ import main; main()"


def test_what_is_prefetched_serves_without_a_network(hub: Hub, tmp_path: Path) -> None:
    """Data are made and models downloaded, no weights but safetensors, and nothing is trained."""
    home, outputs = tmp_path / "home", tmp_path / "outputs"
    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2}
    config = json.dumps({"model_type": "qwen2", "num_key_value_heads": 2, "vocab_size": 1000, **sizes})
    files = {"config.json": config, "model.safetensors": "weights", "pytorch_model.bin": "pickle"}
    commit = hub.put("me/tiny", files)
    hub.put("GAIR/LIMO", {"limo.jsonl": rows(1).replace("trace", "solution")})
    settings = ["model=qwen3-0.6b", "model.id=me/tiny", "model.shape=null", "runtime=single", "world=paper"]
    settings += ["dataset=limo", "benchmark=[lab_reasoning]", "judge=[]", f"runtime.outputs={outputs}"]
    done = hub.python(PREFETCH, home, "stage=prefetch", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Model me/tiny:" in done.stdout and "HF_HUB_OFFLINE=1" in done.stdout
    assert not list(outputs.glob("train/*")) and len(list(outputs.glob("prepare/*/manifest.json"))) >= 2
    (snapshot,) = home.glob("hub/models--me--tiny/snapshots/*")
    assert snapshot.name == commit
    assert sorted(path.name for path in snapshot.iterdir()) == ["config.json", "model.safetensors"]
    offline = hub.python(
        "import sys; from transformers import AutoConfig\n"
        "print(AutoConfig.from_pretrained('me/tiny', revision=sys.argv[1]).hidden_size)",
        home,
        commit,
        HF_HUB_OFFLINE="1",
    )
    assert offline.stdout.strip() == "64", offline.stderr
