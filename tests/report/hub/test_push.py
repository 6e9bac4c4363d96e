"""Pushes to a stand-in of the hub's HTTP interface, through the hub's own client: what arrives, and what never does."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.errors import ConfigError, UserError
from safetax.plan.graph import PlannedRun
from safetax.report.hub.card import _cell, _public, _warning
from safetax.report.hub.files import File, refuse_secrets
from safetax.report.hub.push import check, targets
from safetax.results.document import Results
from safetax.run.session import Session
from tests.support.hub_like import Hub, Repository, git_id, hub_like

TOKEN = "a-token-of-the-test-0123456789"
PUSH = """
import json, sys
from pathlib import Path
from rich.console import Console
from safetax.config.compose import Composer
from safetax.errors import UserError
from safetax.report.hub.push import push
from safetax.run.session import Session

outputs, *overrides = sys.argv[1:]
composer = Composer()
session = Session(Console())
arguments = ["+experiment=lab_quick", "tracking=off", f"runtime.outputs={outputs}", *overrides]
(run,) = session.plan(composer.jobs(arguments, multirun=False)).runs
try:
    push(run, Path(outputs), Console(width=200))
except UserError as error:
    sys.exit(f"UserError: {error}")
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_like(TOKEN) as served:
        yield served


@pytest.fixture(scope="module")
def lab(quick_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(quick_lab, tmp_path_factory.mktemp("pushing") / "outputs"))


def pushed(hub: Hub | None, outputs: Path, *overrides: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Push in a process of its own: the hub's client reads its environment when it is imported."""
    settings = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
        "HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(outputs.parent / "hf"),
        "HF_TOKEN": TOKEN,
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", PUSH, str(outputs), *overrides],
        capture_output=True,
        text=True,
        env=settings,
        timeout=300,
    )


def plan_run(*overrides: str) -> PlannedRun:
    composer = Composer()
    session = Session(None)  # pyright: ignore[reportArgumentType]
    return session.plan(composer.jobs(["+experiment=lab_quick", *overrides], multirun=False)).runs[0]


@pytest.mark.slow
def test_a_run_pushes_data_and_model_once_and_in_private(hub: Hub, lab: Path) -> None:
    wanted = ("hub.push_dataset=me/data", "hub.push_model=me/aligned")
    first = pushed(hub, lab, *wanted)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("Pushed:") == 2
    data, model = hub.repositories["dataset", "me/data"], hub.repositories["model", "me/aligned"]
    assert data.private and model.private
    assert len(data.commits) == len(model.commits) == 2

    run = plan_run(f"runtime.outputs={lab}", *wanted)
    train = run.checkpoints[-1].train
    assert train is not None and run.checkpoints[-1].role == "aligned"
    folder = lab / train.key / "model"
    for file in folder.iterdir():
        assert model.files[file.name] == file.read_bytes(), file.name
    assert set(model.files) == {"README.md", *(file.name for file in folder.iterdir())}
    assert train.key in model.summaries[0]

    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(data.files["data/train.parquet"])).to_pylist()
    examples = [json.loads(line) for line in (lab / run.data["alignment"].key / "examples.jsonl").open()]
    assert len(rows) == len(examples) > 0
    for row, example in zip(rows, examples, strict=True):
        assert row["messages"] == example["messages"] and row["answer"] == example["answer"]
        assert example["messages"][-1]["content"] in row["text"] and example["answer"] in row["text"]
        assert json.loads(row["meta"]) == example["meta"] and row["supervised"] == "turn"

    before = len(hub.requests)
    again = pushed(hub, lab, *wanted)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("On hub:") == 2 and "Pushed" not in again.stdout
    assert len(data.commits) == len(model.commits) == 2
    assert not [path for _, path in hub.requests[before:] if "preupload" in path or "commit" in path or "lfs" in path]


def test_a_card_says_that_its_figures_rest_on_broken_answers(few: Results) -> None:
    assert _warning(few) == []
    aligned = next(each for each in few.checkpoints if each.role == "aligned")
    share = replace(aligned.scores["harmful_score"], value=84.5)
    damaged = replace(aligned, scores={**aligned.scores, "broken": share})
    (_, warning) = _warning(replace(few, checkpoints=(damaged,)))
    assert "Broken, not safe" in warning and "84.5 %" in warning


def test_the_card_has_figures_settings_and_provenance_and_nothing_private(hub: Hub, lab: Path) -> None:
    secret = "endpoint-secret-9876543210"
    made = pushed(hub, lab, "hub.push_dataset=me/data", "hub.push_model=me/aligned", OPENAI_API_KEY=secret)
    assert made.returncode == 0, made.stderr
    model = hub.repositories["model", "me/aligned"].files["README.md"].decode()
    data = hub.repositories["dataset", "me/data"].files["README.md"].decode()
    assert model.startswith("---\nlibrary_name: transformers\n") and "- safetax" in model
    for part in ("Safety tax", "Harmful score", "95 % interval", "not effect sizes", "training.learning\\_rate"):
        assert part in model, part
    run = plan_run(f"runtime.outputs={lab}", "hub.push_model=me/aligned", "hub.push_dataset=me/data")
    train = run.checkpoints[-1].train
    assert train is not None
    for step in [train, *train.inputs.values()]:
        assert step.key in model
    assert run.data["alignment"].key in data and "Columns: `id`" in data
    sent = b"".join(hub.bodies)
    for private in (TOKEN, secret, str(lab), str(Path.home()) + "/", socket.gethostname()):
        assert private not in model and private not in data, private
        assert private == socket.gethostname() or private.encode() not in sent, private


def test_a_push_takes_away_what_an_earlier_one_left(hub: Hub, lab: Path) -> None:
    left = {"model-00002-of-00002.safetensors": b"old", "notes.md": b"a person's own", "README.md": b"old"}
    hub.repositories["model", "me/aligned"] = Repository(True, dict(left))
    made = pushed(hub, lab, "hub.push_model=me/aligned")
    assert made.returncode == 0, made.stderr
    files = hub.repositories["model", "me/aligned"].files
    assert "model-00002-of-00002.safetensors" not in files and files["notes.md"] == b"a person's own"
    assert files["README.md"].startswith(b"---\n") and "model.safetensors" in files


def test_a_public_repository_is_not_pushed_to_in_place_of_a_private_one(hub: Hub, lab: Path) -> None:
    hub.repositories["model", "me/open"] = Repository(False)
    refused = pushed(hub, lab, "hub.push_model=me/open")
    assert refused.returncode == 1 and "hub.push_model=me/open is public already" in refused.stderr
    assert hub.repositories["model", "me/open"].files == {}
    allowed = pushed(hub, lab, "hub.push_model=me/open", "hub.private=false")
    assert allowed.returncode == 0, allowed.stderr
    assert "model.safetensors" in hub.repositories["model", "me/open"].files


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HF_TOKEN": ""}, "there is no token for the hub; set HF_TOKEN"),
        ({"HF_TOKEN": "somebody-else"}, "the hub does not know the token"),
        ({"HF_TOKEN": "reader"}, "the token may not write there"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached"),
    ],
)
def test_what_the_hub_or_the_environment_refuses_is_said_in_one_line(
    hub: Hub, lab: Path, environment: dict[str, str], said: str
) -> None:
    hub.readers.add("reader")
    refused = pushed(hub, lab, "hub.push_model=me/aligned", **environment)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1, refused.stderr
    assert said in refused.stderr and "hub.push_model=me/aligned" in refused.stderr
    assert TOKEN not in refused.stderr and not any("commit" in path for _, path in hub.requests)


def test_a_run_says_what_it_cannot_push_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    check([plan_run("hub.push_model=me/aligned", "hub.push_dataset=data")])
    assert targets(plan_run()) == []
    for overrides, said in [
        (["hub.push_model=me/a/b"], "hub.push_model=me/a/b is no name of a repository"),
        (["hub.push_model='not a name'"], "is no name of a repository"),
        (["hub.push_model=me/a", "stage=prepare"], "trains no model of its own"),
        (["hub.push_dataset=me/a", "stage=reasoning"], "makes no alignment data"),
    ]:
        with pytest.raises(ConfigError, match=said):
            check([plan_run(*overrides)])
    same = [plan_run("hub.push_model=me/a", f"seed={seed}") for seed in (0, 1)]
    with pytest.raises(ConfigError, match="several runs of the sweep"):
        check(same)
    check([same[0], same[0]])


def test_settings_are_public_without_their_paths_and_addresses(tmp_path: Path) -> None:
    assert _public(str(tmp_path / "rows.jsonl")) == "rows.jsonl"
    assert _public("~/models/mine") == "mine" and _public("./rows.jsonl") == "rows.jsonl"
    assert _public("http://some.host:8000/v1") == "(an address)"
    assert _public("owner/name") == "owner/name" and _public("<think>\n") == "<think>\n"
    assert _cell("a|b <c>\nd") == "a\\|b \\<c\\>\\nd"


def test_a_secret_in_what_would_be_sent_stops_the_push(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    with pytest.raises(UserError, match=r"data/train\.parquet holds the value .* SOME_API_KEY"):
        refuse_secrets({"data/train.parquet": File.of(b"compressed", text="a very-secret-value in a row")})
    refuse_secrets({"README.md": File.of(b"nothing of the kind")})


def test_the_id_of_a_small_file_is_the_one_that_git_gives_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text\n")
    said = subprocess.run(["git", "hash-object", tmp_path / "a.txt"], capture_output=True, text=True, check=True)
    assert File.of(b"some text\n").git_id() == said.stdout.strip() == git_id(b"some text\n")
