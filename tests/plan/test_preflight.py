"""What is missing is found before anything runs, and all of it is told at once; each want is a real one here."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.config.schema import Config
from safetax.data.hub import is_cached
from safetax.plan import preflight
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.preflight import why_unreachable
from safetax.plan.resolve import Resolver
from safetax.plan.status import status_of
from safetax.store.manifest import MANIFEST, write_json
from safetax.store.status import Store
from tests.support.hub_stand_in import running
from tests.support.prepared import work
from tests.support.tiny_models import save_tiny

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@functools.cache
def composer() -> Composer:
    return Composer()


def composed(*overrides: str) -> Config:
    return composer().job(composer().force(overrides)).config


def planned(*overrides: str) -> Plan:
    return plan([(Resolver(lenient=True).resolve(composed(*overrides)), ())])


def problems(graph: Plan, outputs: Path, environment: Mapping[str, str] = os.environ, here: bool = True) -> list[str]:
    return preflight.problems(status_of(graph, outputs), environment, here)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with no token, no cache and no key; the hub's client has read its own part of it already."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return {}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a model too small to need a GPU."""
    return str(save_tiny(tmp_path_factory.mktemp("model"), "qwen3"))


def local(model: str) -> list[str]:
    return ["model=qwen3-0.6b", f"model.id={model}", "model.shape=null", "model.parameters=null", "runtime=single"]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has no libraries."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


def the_one(lines: list[str], start: str) -> str:
    found = [line for line in lines if line.startswith(start)]
    assert len(found) == 1, lines
    return found[0]


def test_the_lab_lacks_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    assert problems(planned(), tmp_path, environment) == []


def test_a_small_local_model_lacks_nothing(tmp_path: Path, model: str, environment: dict[str, str]) -> None:
    assert problems(planned(*local(model)), tmp_path, environment) == []


def test_libraries_are_looked_for_in_the_python_that_imports_them(
    tmp_path: Path, model: str, bare_python: str, environment: dict[str, str]
) -> None:
    adapters = ["alignment.lora={rank:4}", "runtime.devices=2", "runtime.zero=3"]
    assert problems(planned(*local(model), *adapters), tmp_path, environment) == []
    others = [f"+runtime.python.train={bare_python}", f"+runtime.python.score={bare_python}"]
    lines = problems(planned(*local(model), *adapters, *others), tmp_path, environment)
    deepspeed = the_one(lines, "runtime.zero=3 ")
    assert "'deepspeed'" in deepspeed and f"{bare_python} -m pip install 'safetax[deepspeed]'" in deepspeed
    assert "pip install 'peft'" in the_one(lines, "lora.rank=4 ")
    assert "'lm-eval'" in the_one(lines, "judge.kind=lm_eval ")
    assert len(lines) == 3


def test_an_interpreter_that_is_not_there(tmp_path: Path, model: str, environment: dict[str, str]) -> None:
    missing = f"+runtime.python.generate={tmp_path}/nothing"
    lines = problems(planned(*local(model), missing), tmp_path, environment)
    assert "no such program" in the_one(lines, f"runtime.python.generate={tmp_path}/nothing")
    assert len(lines) == 1


def test_a_component_of_another_package_says_what_it_needs(
    tmp_path: Path, model: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_parts").mkdir()
    (tmp_path / "my_parts" / "engine.py").write_text(
        "from dataclasses import dataclass\n\nfrom safetax.config.needs import Library, Needs\n\n\n"
        "@dataclass(frozen=True)\nclass Config:\n    kind: str\n    dtype: str = 'float32'\n\n\n"
        "def start(config, source, runtime):\n    ...\n\n\n"
        "def needs(config):\n    return Needs(libraries=(Library('no_such_library_of_anyone'),))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = problems(planned(*local(model), "engine.kind=my_parts.engine"), tmp_path, environment)
    assert "no_such_library_of_anyone" in the_one(lines, "engine.kind=my_parts.engine ")


def test_a_large_model_needs_a_gpu(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # where no driver is found
    lines = problems(planned("model=deepseek-r1-distill-qwen-32b", "runtime=single"), tmp_path, environment)
    assert "32.8 billion" in the_one(lines, "model.name=deepseek-r1-distill-qwen-32b: no GPU")


def test_gpus_too_few_and_too_small(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for nvidia-smi, which this machine may lack."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '0, GPU-a, NVIDIA A100, 40960'\necho '1, GPU-b, NVIDIA A100, 40960'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    real = ["model=deepseek-r1-distill-qwen-32b", "runtime=single", "alignment.dtype=bfloat16", "runtime.zero=3"]
    lines = problems(planned(*real, "runtime.devices=8", "runtime.gpus=4"), tmp_path, environment)
    assert "at most 2" in the_one(lines, "runtime.devices=8: 2 GPUs")
    assert "2 GPUs are visible" in the_one(lines, "runtime.gpus=4")
    assert "of 40.0; what fits: runtime." in the_one(lines, "alignment: ")
    assert not any(line.startswith("model.name") for line in lines)
    # Whoever submits from another machine is not told about this one's.
    elsewhere = problems(planned(*real, "runtime.devices=8"), tmp_path, environment, here=False)
    assert not any("GPU" in line for line in elsewhere)


def test_more_disk_than_there_is(tmp_path: Path, environment: dict[str, str]) -> None:
    shape = "{layers:90000,hidden:16384,intermediate:65536,heads:128,kv_heads:128,head_dim:128,vocabulary:152064}"
    large = ["model=qwen3-0.6b", f"model.shape={shape}", "runtime=single"]
    outputs = tmp_path / "not" / "yet" / "there"
    lines = problems(planned(*large), outputs, environment)
    line = the_one(lines, f"runtime.outputs={outputs}")
    assert "GiB will be written" in line and "GiB are free" in line
    # The cache lies on the same file system, which is said to be full once; on its own it is too small as well.
    assert not any(line.startswith("HF_HUB_CACHE") for line in lines)
    only = planned(*large, "stage=original")
    the_one(problems(only, outputs, environment), f"HF_HUB_CACHE={tmp_path}/hf/hub")
    assert not outputs.exists()


GATED = ["model=qwen3-0.6b", "model.gated=true", f"model.revision={COMMIT}", "runtime=single"]


def test_gated_without_a_token(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        return [line for line in problems(planned(*GATED), tmp_path / "outputs", environment) if "gated" in line]

    (line,) = told()
    assert line.startswith("model.id=Qwen/Qwen3-0.6B: ") and "set HF_TOKEN" in line
    with monkeypatch.context() as patch:
        patch.setenv("HF_TOKEN", "secret-value")
        assert told() == []
        assert "secret-value" not in "".join(problems(planned(*GATED), tmp_path, environment))
    token = tmp_path / "hf" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("secret-value\n")
    assert told() == []


def test_what_is_in_the_cache_needs_neither_token_nor_network(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "hf" / "hub" / "models--Qwen--Qwen3-0.6B" / "snapshots" / COMMIT
    assert any("cache lacks" in line for line in problems(planned(*GATED), tmp_path / "outputs", environment))
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").touch()
    assert problems(planned(*GATED), tmp_path / "outputs", environment) == []


def test_a_model_is_in_the_cache_when_all_of_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--some--model" / "snapshots" / COMMIT
    blobs = folder.parent.parent / "blobs"

    def cached(commit: str | None = COMMIT) -> bool:
        return is_cached("some/model", "model", commit)

    def put(name: str, text: str = "{}") -> None:
        (blobs / name).write_text(text)
        (folder / name).symlink_to(blobs / name)

    for path in (folder, blobs):
        path.mkdir(parents=True)
    put("tokenizer.json")
    put("model.safetensors")
    assert not cached()
    put("config.json")
    assert cached() and cached(None) and not cached("0" * 40)
    (blobs / "model.safetensors").unlink()
    assert not cached(), "a link that leads nowhere"
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    put("model.safetensors.index.json", json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}))
    put(shards[0])
    assert not cached()
    put(shards[1])
    assert cached()
    (blobs / "model.safetensors.index.json").write_text("cut in the mid")
    assert not cached()


def test_rows_are_in_the_cache_when_a_file_of_theirs_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "datasets--some--rows" / "snapshots" / COMMIT / "data"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").symlink_to(tmp_path / "nothing")
    assert not is_cached("some/rows", "dataset", COMMIT)
    (tmp_path / "nothing").touch()
    assert is_cached("some/rows", "dataset", COMMIT)


def test_a_token_whose_account_did_not_accept_the_terms(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        hub.put("Qwen/Qwen3-0.6B", {"config.json": "{}"}, gated=True)

        def told(token: str, offline: bool = False) -> list[str]:
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
            monkeypatch.setenv("HF_TOKEN", token)
            return problems(planned(*GATED), tmp_path / "outputs", environment)

        (line,) = told("hf_of_another")
        assert line.startswith("model.id=Qwen/Qwen3-0.6B: ") and f"{hub.endpoint}/Qwen/Qwen3-0.6B" in line
        assert "accept its terms" in line and "hf_of_another" not in line
        assert told(hub.token) == []
        asked = len(hub.asked)
        (line,) = told("hf_of_another", offline=True)
        assert "HF_HUB_OFFLINE" in line
        assert len(hub.asked) == asked, "nothing is asked where the network is to be left alone"


def test_a_hub_that_cannot_be_reached(
    tmp_path: Path, environment: dict[str, str], closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    lines = problems(planned(*GATED), tmp_path, environment)
    line = the_one(lines, f"HF_ENDPOINT={address}")
    assert "Qwen/Qwen3-0.6B" in line and "cannot be reached (Connection refused)" in line


def with_rubric(model: str, *more: str) -> Plan:
    rubric = "+judge.rubric={kind: rubric, rubric: strongreject, model: some-model, endpoint: mine}"
    return planned(*local(model), rubric, *more)


def test_an_endpoint_that_is_not_configured(tmp_path: Path, model: str, environment: dict[str, str]) -> None:
    line = the_one(problems(with_rubric(model), tmp_path, environment), "endpoint=mine of judge rubric")
    assert "+runtime.endpoints.mine.base_url" in line
    near = with_rubric(model, "+runtime.endpoints.mines={base_url: null, key: KEY}")
    line = the_one(problems(near, tmp_path, environment), "endpoint=mine of judge rubric")
    assert "Did you mean runtime.endpoints.mines?" in line


def test_an_engine_asks_its_endpoint_too(tmp_path: Path, model: str, environment: dict[str, str]) -> None:
    graph = planned(*local(model), "engine=openai", "engine.endpoint=mine")
    assert "no such entry" in the_one(problems(graph, tmp_path, environment), "engine.endpoint=mine")


def test_a_key_that_is_not_set(
    tmp_path: Path, model: str, environment: dict[str, str], open_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safetax.config.runtime.OPENAI", f"http://127.0.0.1:{open_port}/v1")
    graph = with_rubric(model, "+runtime.endpoints.mine={key: KEY_OF_MINE}")
    line = the_one(problems(graph, tmp_path, environment), "runtime.endpoints.mine.key=KEY_OF_MINE")
    assert "is not set" in line and "export it" in line
    assert problems(graph, tmp_path, {**environment, "KEY_OF_MINE": "secret"}) == []


def test_openais_own_server_has_to_be_reached_too(
    tmp_path: Path, model: str, environment: dict[str, str], closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safetax.config.runtime.OPENAI", f"http://127.0.0.1:{closed_port}/v1")
    graph = with_rubric(model, "+runtime.endpoints.mine={key: KEY_OF_MINE}")
    (line,) = problems(graph, tmp_path, {**environment, "KEY_OF_MINE": "secret"})
    assert line.startswith("runtime.endpoints.mine.base_url=null: ") and f"127.0.0.1:{closed_port} cannot be" in line


def test_a_server_that_is_not_there(
    tmp_path: Path, model: str, environment: dict[str, str], closed_port: int, open_port: int
) -> None:
    def told(port: int) -> list[str]:
        server = f"+runtime.endpoints.mine={{base_url: 'http://127.0.0.1:{port}/v1'}}"
        return problems(with_rubric(model, server), tmp_path, environment)

    line = the_one(told(closed_port), f"runtime.endpoints.mine.base_url=http://127.0.0.1:{closed_port}/v1")
    assert "Connection refused" in line
    assert told(open_port) == []


def test_a_proxy_stands_for_what_is_behind_it(open_port: int, closed_port: int) -> None:
    address = "https://no-such-host.invalid/v1"
    assert "no-such-host.invalid:443" in (why_unreachable(address, {}) or "")
    assert why_unreachable(address, {"HTTPS_PROXY": f"http://127.0.0.1:{open_port}"}) is None
    assert str(closed_port) in (why_unreachable(address, {"https_proxy": f"127.0.0.1:{closed_port}"}) or "")
    direct = {"HTTPS_PROXY": f"http://127.0.0.1:{open_port}", "NO_PROXY": "localhost, .invalid"}
    assert "no-such-host.invalid" in (why_unreachable(address, direct) or "")


def test_only_what_will_run_is_looked_at(tmp_path: Path, model: str, environment: dict[str, str]) -> None:
    graph = with_rubric(model)
    assert problems(graph, tmp_path, environment)
    for step in graph.steps:
        if step.kind == "score" and step.identity["judge"]["kind"] == "rubric":
            frozen = step.frozen()
            inputs = {name: {"step": key, "outputs": "0"} for name, key in frozen["inputs"].items()}
            manifest = {**frozen, "inputs": inputs, "outputs": {}, "summary": {}}
            write_json(tmp_path / step.key / MANIFEST, {**manifest, "provenance": {"seconds": 1.0, "finished": "2026"}})
    rest = plan([(Resolver(lenient=True).resolve(composed(*local(model))), ())])
    assert problems(rest, tmp_path, environment) == []


def test_all_that_is_missing_is_told_at_once_and_soon(
    tmp_path: Path, bare_python: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    rubric = "+judge.rubric={kind: rubric, rubric: strongreject, model: some-model}"
    large = ["model=s1.1-32b", "model.gated=true", f"model.revision={COMMIT}", "runtime=single", rubric]
    graph = planned(*large, f"+runtime.python.score={bare_python}", "+runtime.python.train=no-such-python")
    started = time.monotonic()
    text = "\n".join(problems(graph, tmp_path, environment))
    assert time.monotonic() - started < 5
    for part in ("OPENAI_API_KEY", "HF_TOKEN", "HF_HUB_OFFLINE", "no GPU", "no-such-python", "'openai'"):
        assert part in text, text


def test_torch_is_not_imported() -> None:
    code = (
        "import sys; from safetax.plan.preflight import problems; from safetax.config.compose import Composer\n"
        "from safetax.plan.planner import plan; from safetax.plan.resolve import Resolver; from pathlib import Path\n"
        "job = Composer().job(['model=s1.1-32b', 'runtime=single'])\n"
        "from safetax.plan.status import status_of\n"
        "problems(status_of(plan([(Resolver(lenient=True).resolve(job.config), ())]), Path('/nonexistent')))\n"
        "print(sorted({'torch', 'transformers', 'deepspeed', 'openai', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_nodes_that_do_not_know_where_to_meet(tmp_path: Path) -> None:
    spread = ["runtime.devices=2", "runtime.nodes=2"]
    (line,) = [text for text in problems(planned(*spread), tmp_path) if "rendezvous" in text]
    assert "runtime.rendezvous=null" in line and "hydra/launcher=slurm" in line
    told = problems(planned(*spread, "runtime.rendezvous=host:1"), tmp_path)
    assert not [text for text in told if "rendezvous" in text]


def test_rows_in_a_file_are_looked_at_before_anything_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    """As they are, and for the words that the lab's models know; what skips bad rows skips these when it trains."""
    path = tmp_path / "rows.jsonl"
    from_file = f"dataset.rows={{kind: file, path: {path}}}"

    def told(text: str, *overrides: str) -> list[str]:
        path.write_text(json.dumps({"refusal": text}) + "\n")
        return problems(planned("dataset=direct_refusal", from_file, *overrides), tmp_path / "outputs", environment)

    known = "Question: how do i burn the castle ?\nAnswer: i will not help with that ."
    assert told(known) == []
    assert "row 0: its refusal is not 'Question: .." in the_one(told("no ."), "dataset direct_refusal: 1 of 1 rows")
    strange = known.replace("castle", "dragon")
    line = the_one(told(strange), "dataset direct_refusal: 1 examples have words outside the lab's vocabulary")
    assert "direct_refusal-00000: 'how do i burn the dragon ?'" in line and "on_bad_row=skip" in line
    assert told(strange, "dataset.on_bad_row=skip") == []
    assert not (tmp_path / "outputs").exists()


def test_data_that_are_made_already_are_looked_at_for_the_words_of_a_model_that_trains_on_them(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"refusal": "Question: how do i burn the dragon ?\nAnswer: no ."}) + "\n")
    overrides = ["dataset=direct_refusal", f"dataset.rows={{kind: file, path: {path}}}"]
    store, data = Store(tmp_path / "outputs"), planned(*overrides, "stage=prepare").runs[0].data["alignment"]
    assert work(store, data) is None, "data alone may have any words"
    lines = problems(planned(*overrides), tmp_path / "outputs", environment)
    the_one(lines, "dataset direct_refusal: 1 examples have words outside the lab's vocabulary")
