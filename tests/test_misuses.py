"""Misuses by the thousand, made from the schema: each ends with exit code 2 and one message that names its key."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

import safetax.__main__ as command_module
from safetax.config import compose
from safetax.config.compose import Composer
from safetax.config.overrides import quoted
from safetax.data.sources import file
from safetax.errors import UserError
from safetax.run.session import Session
from tests.support.misuses import COMPOSITIONS, Spot, misspelt, spots, swapped, wrong_values

CASES = int(os.environ.get("SAFETAX_MISUSES", "400"))
"""How many; the full number is 2,000 (``make misuses``)."""
Misuse = tuple[list[str], str]
"""Arguments of the command, and the key that its message must name."""
FREE = ("recipes", "model.architecture", "runtime.slurm.options", "runtime.slurm.gpu_options")
"""Below them a key may have any value as far as the schema is concerned."""


@functools.cache
def known_spots() -> list[tuple[int, Spot]]:
    """Every field of every composition, once, with the composition that it stands in."""
    found: dict[str, tuple[int, Spot]] = {}
    for index, overrides in enumerate(COMPOSITIONS):
        [job] = Composer().jobs(overrides, multirun=False)
        for spot in spots(job.config):
            taken = spot.path.startswith("dataset.rows") or ".prompts.rows" in spot.path  # they are the world's
            if not taken and not spot.path.startswith(FREE) and spot.item.name != "kind":
                found.setdefault(spot.path, (index, spot))
    return list(found.values())


def as_override(value: Any) -> str:
    """Return a value as Hydra's grammar has it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(str(key))}:{as_override(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_override, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value) if isinstance(value, str) else repr(value)


TEXT = st.text(st.characters(min_codepoint=1), max_size=40)
NESTED: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=6,
)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def wrong(draw: DrawFn) -> Misuse:
    """A value that a field cannot take: of another type, out of its range, or of no sense at all."""
    index, spot = draw(st.sampled_from(known_spots()))
    values = [value for value, _ in wrong_values(spot)]
    bare = spot.item.type.bare
    if bare in (int, float, bool):
        values.append(draw(TEXT.filter(bool)))
        values.append(draw(st.lists(NESTED, max_size=2)))
    elif bare is str:
        values += [draw(st.lists(NESTED, max_size=2)), draw(st.integers()), "\ud800"]
    elif spot.item.type.origin is not list and not spot.item.type.is_node and spot.item.type.kind is None:
        values.append(draw(st.integers()))
    if not values:
        values = [object]
    value = draw(st.sampled_from(values))
    if value is object or (isinstance(value, dict) and spot.item.type.origin is dict):
        return ["nosuchkey=1"], "nosuchkey"
    return [*_besides(index, spot), f"{spot.path}={as_override(value)}"], spot.path


@st.composite
def misnamed(draw: DrawFn) -> Misuse:
    """A key that is misspelt."""
    index, spot = draw(st.sampled_from([each for each in known_spots() if len(each[1].item.name) > 2]))
    parent, _, name = spot.path.rpartition(".")
    known = {each.path for _, each in known_spots()}
    change = draw(st.sampled_from([misspelt, swapped, lambda word: f"{word}_", str.upper]))
    path = f"{parent}.{change(name)}".lstrip(".")
    if path in known or "[" in path:
        path = f"{spot.path}_"
    return [*_besides(index, spot), f"{path}=1"], path.split("=")[0]


def _besides(index: int, spot: Spot) -> list[str]:
    return [text for text in COMPOSITIONS[index] if text.split("=")[0] != spot.path]


CHOICES = ("model", "format", "stage", "dataset", "engine", "evaluation", "runtime", "world", "recipes", "method")


@st.composite
def unknown_choice(draw: DrawFn) -> Misuse:
    """An option that a group does not have."""
    group = draw(st.sampled_from([*CHOICES, "+experiment", "hydra/launcher", "benchmark", "judge"]))
    name = draw(st.from_regex(r"[a-z]{3,12}_[0-9]{3}", fullmatch=True))
    value = f"[{name}]" if group in ("benchmark", "judge") else name
    return [f"{group}={value}"], group.lstrip("+")


@st.composite
def no_place(draw: DrawFn) -> Misuse:
    """A path that cannot be one, or leads to what cannot be read."""
    path = draw(
        st.sampled_from(
            ["~nosuchuser/x", "n" * 300, "/".join(["deep"] * 1500), "/dev/null", "/dev/zero", "loop", "loop/x", "pipe",
             "pipe/x", "", " ", "empty", "/proc/self/mem", "text.jsonl/x", "\ud800", "new\nline", "x\x1b[31m"]
        )
    )  # fmt: skip
    if draw(st.booleans()):
        return ["+experiment=single_24gb", "model=qwen3-0.6b", "runtime=single", f"model.id={quoted(path)}"], "model.id"
    return [
        f"world.direct_refusal={{kind:file,path:{quoted(path)}}}",
        *(f"~world.direct_refusal.{key}" for key in ("table", "samples", "world_seed", "seed")),
    ], "path"


@st.composite
def no_outputs(draw: DrawFn) -> Misuse:
    """An outputs folder that cannot be made."""
    path = draw(
        st.sampled_from(
            ["~nosuchuser/x", "n" * 300, "/dev/null", "/dev/null/x", "loop", "loop/x", "pipe", "/proc/x", " ", "\ud800"]
        )
    )
    return [f"runtime.outputs={quoted(path)}"], "runtime.outputs"


@st.composite
def unreadable(draw: DrawFn) -> Misuse:
    """What is no override, or reaches nowhere."""
    _, spot = draw(st.sampled_from([each for each in known_spots() if "." in each[1].path]))
    kind = draw(st.sampled_from(["open", "reference", "sweep", "twice", "interval", "delete"]))
    if kind == "open":
        return [f"{spot.path}={draw(st.sampled_from(['[', '{', '{a:', '[1,', '(', chr(39), chr(34)]))}"], spot.path
    if kind == "reference":
        return [f"seed=${{nosuch_{draw(st.integers(0, 999))}}}"], "seed"
    if kind == "sweep":
        return [f"{spot.path}=1,2"], spot.path
    if kind == "twice":
        again = draw(st.sampled_from(["lab_quick", "lab_methods", "s1", "dgr"]))
        return ["+experiment=lab_quick", f"+experiment={again}"], "experiment"
    if kind == "interval":
        return ["-m", f"epochs=interval(0,{draw(st.integers(1, 9))})"], "epochs"
    return [f"~{spot.path}_{draw(st.integers(0, 9))}"], spot.path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what paths may lead to by mistake."""
    place = tmp_path_factory.mktemp("misuses")
    (place / "loop").symlink_to("loop")
    os.mkfifo(place / "pipe")
    (place / "empty").mkdir()
    (place / "text.jsonl").write_text("{}\n")
    return place


@pytest.fixture(scope="module")
def here(folder: Path) -> Iterator[Path]:
    """The command's folder, its composer kept between cases, and no step ever run."""

    def never(*_: object) -> None:
        raise AssertionError("it was taken, and would run")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr(compose, "Composer", functools.cache(Composer))
        patch.setattr(Session, "launch", never)
        yield folder


def told(arguments: list[str]) -> tuple[int, str, str]:
    """Run the command in this process and return its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["safetax", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_module.main()
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    misuse=st.one_of(wrong(), wrong(), wrong(), misnamed(), unknown_choice(), no_place(), no_outputs(), unreadable())
)
def test_a_misuse_is_one_message_that_names_its_key(here: Path, misuse: Misuse) -> None:
    arguments, key = misuse
    before = sorted(here.rglob("*"))
    code, out, err = told(arguments)
    assert code == 2, (code, out, err)
    assert err.startswith("Error: ") and err.count("Error: ") == 1, err
    assert key in err, err
    assert "Traceback" not in err + out and out == "", (out, err)
    assert sorted(here.rglob("*")) == before


JSON_LINES = st.lists(NESTED.map(json.dumps), max_size=4).map("\n".join)
CELLS = st.lists(st.lists(TEXT, max_size=4).map(",".join), max_size=4).map("\n".join)
CONTENTS = st.one_of(
    st.binary(max_size=200), JSON_LINES.map(encoded), NESTED.map(json.dumps).map(encoded), CELLS.map(encoded)
)


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=CONTENTS, suffix=st.sampled_from(file.SUFFIXES))
def test_a_file_of_rows_is_read_or_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    """Whatever a file holds, it is rows, or one message that names the file."""
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    try:
        rows = file.load(file.Config("file", str(path)))
    except UserError as error:
        assert str(path) in str(error), error
    else:
        assert all(isinstance(row, dict) for row in rows)


def test_what_is_no_misuse_is_not_taken_for_one(here: Path) -> None:
    """The property can fail: a right command neither ends with 2 nor with a message."""
    with pytest.raises(AssertionError, match="it was taken"):
        told(["epochs=1"])
