"""The folder of a saved model: what is damaged, missing or strange in it is told before anything is loaded."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.data.model_folder import INDEX, check_folder, check_start
from safetax.errors import ConfigError
from safetax.plan.resolve import Resolver
from tests.support.tiny_models import save_tiny

WEIGHTS = "model.safetensors"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("saved"), "qwen3")


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    """A folder of a whole model, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def edit(name: str, **values: object) -> Callable[[Path], None]:
    """Change keys of a JSON file; None deletes one."""

    def change(folder: Path) -> None:
        path = folder / name
        found = json.loads(path.read_text()) | values if path.exists() else dict(values)
        path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))

    return change


def edit_to_null(name: str, key: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**found, key: None}))

    return change


def write(name: str, text: str | bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return change


def delete(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return change


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def cut(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def lie(folder: Path) -> None:
    """Let the header of the weights say that a tensor is larger than it is."""
    data = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    first = next(name for name in header if name != "__metadata__")
    header[first]["shape"][0] += 1
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def shards(**weights: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "part.safetensors")
        (folder / INDEX).write_text(json.dumps({"weight_map": weights}))

    return change


def pipe(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


NO_TEMPLATE = both(delete("chat_template.jinja"), edit("tokenizer_config.json", chat_template=None))
CASES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no configuration": (delete("config.json"), ["the folder has no config.json"]),
    "a list as configuration": (write("config.json", "[1]"), ["config.json holds [1]", "keys and values"]),
    "a cut configuration": (write("config.json", '{"a": '), ["config.json is no JSON"]),
    "deep nesting": (write("config.json", "[" * 100_000), ["config.json is no JSON"]),
    "a configuration that is no text": (write("config.json", b"\xff\xfe\x00"), ["config.json is no JSON"]),
    "a configuration that is a pipe": (pipe("config.json"), ["config.json is no file"]),
    "a size that is no number": (edit("config.json", hidden_size="64"), ["hidden_size=64", "whole number"]),
    "no layers": (edit("config.json", num_hidden_layers=0), ["num_hidden_layers=0", "at least 1"]),
    "an unknown type": (edit("config.json", model_type="qwen33"), ["model_type=qwen33", "Did you mean qwen3?"]),
    "no type": (edit("config.json", model_type=None), ["model_type=null"]),
    "a type that writes no text": (edit("config.json", model_type="vit"), ["model_type=vit"]),
    "code of its own": (
        edit("config.json", model_type="mine", auto_map={"AutoConfig": "mine.Config"}),
        ["model_type=mine", "code of its own (auto_map) is never run"],
    ),
    "cut weights": (cut, [f"{WEIGHTS} is damaged or cut"]),
    "empty weights": (write(WEIGHTS, ""), [f"{WEIGHTS} is damaged or cut"]),
    "weights that are none": (write(WEIGHTS, "<html>not found</html>"), [f"{WEIGHTS} is damaged or cut"]),
    "a header that lies": (lie, [f"{WEIGHTS} is damaged or cut"]),
    "weights that are a pipe": (pipe(WEIGHTS), [f"{WEIGHTS} is no file"]),
    "no weights": (delete(WEIGHTS), [f"neither {WEIGHTS} nor {INDEX}"]),
    "pickles alone": (both(delete(WEIGHTS), write("pytorch_model.bin", "x")), ["pickles", "safetensors"]),
    "a shard that is not there": (shards(a="absent.safetensors"), ["names absent.safetensors, which is not there"]),
    "a shard elsewhere": (shards(a="../part.safetensors"), ["names ../part.safetensors", "beside it alone"]),
    "a shard anywhere": (shards(a="/etc/passwd"), ["names /etc/passwd", "beside it alone"]),
    "a shard without its tensor": (shards(a="part.safetensors"), ["says that part.safetensors has a"]),
    "an index that is a list": (both(shards(), write(INDEX, "[]")), [f"{INDEX} holds []"]),
    "an index of nothing": (shards(), [f"{INDEX} has no weight_map"]),
    "an index of numbers": (shards(a=1), [f"{INDEX} has no weight_map"]),
    "no tokenizer": (delete("tokenizer.json"), ["no tokenizer"]),
    "a broken tokenizer": (write("tokenizer.json", "{}"), ["tokenizer.json cannot be read"]),
    "broken settings of the tokenizer": (write("tokenizer_config.json", "[]"), ["tokenizer_config.json holds []"]),
    "a Git LFS pointer for weights": (write(WEIGHTS, POINTER), [f"{WEIGHTS} is a pointer of Git LFS", "git lfs pull"]),
    "a Git LFS pointer for a tokenizer": (write("tokenizer.json", POINTER), ["tokenizer.json is a pointer of Git LFS"]),
    "a pointer for a pickle": (
        both(delete(WEIGHTS), write("pytorch_model.bin", POINTER)),
        ["pytorch_model.bin is a pointer of Git LFS"],
    ),
    "an adapter beside a model": (write("adapter_config.json", "{}"), ["an adapter", "merge it"]),
    "an adapter alone": (
        both(delete("config.json", WEIGHTS), write("adapter_config.json", "{}")),
        ["an adapter", "merge it"],
    ),
    "a type that is a list": (edit("config.json", model_type=["qwen3"]), ["model_type="]),
    "fewer embeddings than the configuration says": (
        edit("config.json", vocab_size=100_000),
        ["has", "vocab_size=100000"],
    ),
    "a tokenizer larger than the embeddings": (
        edit("tokenizer_config.json", added_tokens_decoder={"100000": {"content": "<|new|>"}}),
        ["tokenizer has 100001 tokens", "vocab_size"],
    ),
    "no end of text": (edit_to_null("tokenizer_config.json", "eos_token"), ["no end-of-text token", "eos_token"]),
    "an end of text that is no token": (
        edit("tokenizer_config.json", eos_token="</never>"),
        ["end-of-text token </never> is none of the tokenizer's"],
    ),
    "no template": (NO_TEMPLATE, ["no chat template", "template=chatml"]),
    "a template that does not parse": (
        both(NO_TEMPLATE, write("chat_template.jinja", "{% for x in %}")),
        ["chat template cannot be used (TemplateSyntaxError"],
    ),
    "a template that fails": (
        both(NO_TEMPLATE, edit("tokenizer_config.json", chat_template="{{ messages[9].content }}")),
        ["chat template cannot be used (UndefinedError"],
    ),
    "a template that says nothing": (
        both(NO_TEMPLATE, write("chat_template.jinja", "hello")),
        ["leaves out what the user says"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_a_folder_is_told_before_anything_is_loaded(model: Path, case: str) -> None:
    change, parts = CASES[case]
    change(model)
    chosen = ["model=qwen3-0.6b", f"model.id={model}", "runtime=single", "judge=phrases", "benchmark=[lab_harmful]"]
    [job] = Composer().jobs([*chosen, "tracking=off", f"runtime.outputs={model.parent / 'outputs'}"], multirun=False)
    with pytest.raises(ConfigError) as raised:
        Resolver().resolve(job.config)
    text = str(raised.value)
    assert text.startswith(f"model.id={model}: ") and not [part for part in parts if part not in text], text
    assert len(text.splitlines()) == 1 and "trust_remote_code" not in text
    assert not (model.parent / "outputs").exists()


def test_a_whole_model_is_taken_in_one_file_and_in_shards(model: Path) -> None:
    check_folder(model, "mine")
    check_start(model, "mine", tokenizer=True, template=True)
    from safetensors import safe_open

    with safe_open(model / WEIGHTS, framework="np") as tensors:
        names = list(tensors.keys())
    shards(**dict.fromkeys(names, "part.safetensors"))(model)
    check_folder(model, "mine")


def test_a_model_whose_tokenizer_and_template_are_not_used_needs_none(model: Path) -> None:
    delete("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")(model)
    check_start(model, "mine", tokenizer=False, template=True)


def test_transformers_own_marks_in_a_template_are_no_mistake(model: Path) -> None:
    delete("chat_template.jinja")(model)
    text = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    edit("tokenizer_config.json", chat_template=[{"name": "default", "template": text}])(model)
    check_start(model, "mine", tokenizer=True, template=True)
