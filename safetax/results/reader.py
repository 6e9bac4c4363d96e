"""Reads what runs and steps left in outputs folders; a file is read once, whichever runs and folders hold it."""

from __future__ import annotations

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from safetax.config.overrides import quoted
from safetax.errors import UserError
from safetax.records import Example, Response, Verdict

RUN = ("name", "model", "dataset", "epochs", "seed", "lrm_seed", "config", "checkpoints")
"""What the report reads of a run record, besides the schema."""
INPUTS = ("inputs", "summary")
"""What results read of a manifest."""
MANIFEST = ("kind", "title", *INPUTS, "outputs", "provenance")
"""What the report shows of a manifest."""


def _required(record: type[Example | Response | Verdict]) -> tuple[str, ...]:
    """Return the fields that every line of such records has."""
    return tuple(each.name for each in fields(record) if each.default is each.default_factory is MISSING)


_EXAMPLE = (*_required(Example), "meta")
_RESPONSE = _required(Response)
_VERDICT = (*_required(Verdict), "harmful", "refused", "correct", "error")
_TRACE = ("id", "tokens", "nll", "opening")
_OUTPUTS = re.compile(r"\+{0,2}runtime\.outputs=")


@dataclass(frozen=True)
class RecordedRun:
    """A run record and the outputs folder it stands in."""

    outputs: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """The run's name, which is also its folder's."""
        return self.record["name"]

    @property
    def command(self) -> str:
        """The command that makes the run's steps again, in the folder in which they are missing."""
        overrides = [each for each in self.record.get("overrides", []) if not _OUTPUTS.match(each)]
        if self.outputs.resolve() != Path("outputs").resolve():
            plain = re.fullmatch(r"[\w./+-]+", str(self.outputs), re.ASCII)
            overrides.append(f"runtime.outputs={self.outputs if plain else quoted(self.outputs)}")
        return shlex.join(["python", "-m", "safetax", *overrides])


def find_runs(directories: Sequence[Path]) -> list[RecordedRun]:
    """Return the runs of outputs folders, run folders and sweep folders, each run once, ordered by what they are.

    Raises UserError for a folder that holds no run, and for a sweep that names a run that is not there.
    """
    runs: dict[str, RecordedRun] = {}
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise UserError(
                f"{directory}: there is no such folder. Name an outputs folder, or that of a run or sweep in it."
            )
        found = list(_runs_of(directory))
        if not found:
            raise UserError(
                f"No finished run below {directory}: neither runs/*/run.json nor run.json nor sweep.json. Name an "
                "outputs folder, a folder below its runs/ or a folder below its sweeps/."
            )
        for run in found:
            runs.setdefault(json.dumps([run.name, run.record["checkpoints"]], sort_keys=True), run)
    return [runs[key] for key in sorted(runs, key=lambda key: _order(runs[key]))]


def _runs_of(directory: Path) -> Iterable[RecordedRun]:
    if (directory / "run.json").is_file():
        yield RecordedRun(directory.resolve().parent.parent, _read_record(directory / "run.json", RUN))
    elif (directory / "sweep.json").is_file():
        outputs = directory.resolve().parent.parent
        for name in _read_record(directory / "sweep.json", ("runs",))["runs"]:
            file = outputs / "runs" / name / "run.json"
            if not file.is_file():
                raise UserError(
                    f"The sweep {directory} names the run {name}, but {file} is missing. Run the sweep again."
                )
            yield RecordedRun(outputs, _read_record(file, RUN))
    else:
        for file in sorted(directory.glob("runs/*/run.json")):
            yield RecordedRun(directory, _read_record(file, RUN))


def _read_record(file: Path, needed: Collection[str]) -> dict[str, Any]:
    """Read the record of a run or sweep."""
    record = read_json(file, ("schema",))
    if record["schema"] != 1:
        raise UserError(f"{file} has schema {record['schema']!r}; this safetax reads schema 1. Run it again.")
    return _whole(file, record, needed)


def _order(run: RecordedRun) -> tuple[Any, ...]:
    record = run.record
    return (
        record["model"],
        record["dataset"] or "",
        -1.0 if record["epochs"] is None else record["epochs"],
        record["seed"],
        record["lrm_seed"],
        run.name,
        json.dumps(record["checkpoints"], sort_keys=True),
    )


def read_json(file: Path, needed: Collection[str] = ()) -> dict[str, Any]:
    """Read a JSON object; raises UserError, naming the file, where it is damaged or lacks a key that is needed."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}). Remove it and run again what made it.") from error
    if not isinstance(value, dict):
        raise UserError(f"{file} is damaged (no JSON object). Remove it and run again what made it.")
    return _whole(file, value, needed)


def _whole(file: Path, value: dict[str, Any], needed: Collection[str]) -> dict[str, Any]:
    """Return the object that was read from the file; raises UserError where it lacks a key that is needed."""
    if lacking := _lacking(value, needed):
        raise UserError(f"{file} is damaged ({lacking}). Remove it and run again what made it.")
    return value


def _lacking(value: Mapping[str, Any], needed: Collection[str]) -> str:
    """Say which keys are missing; empty where none is."""
    missing = [key for key in needed if key not in value]
    return f"it has no {', no '.join(map(repr, missing))}" if missing else ""


class StepReader:
    """Reads finished steps of several outputs folders, looked up as ``kind/fingerprint``, each file once."""

    def __init__(self, runs: Iterable[RecordedRun]) -> None:
        self._folders = list(dict.fromkeys(run.outputs for run in runs))
        self._found: dict[str, tuple[dict[str, Any], Path] | None] = {}
        self._kept: dict[str, list[dict[str, Any]]] = {}
        self._repeated: dict[str, dict[str, str]] = {}

    def manifest(self, step: str, run: RecordedRun) -> dict[str, Any]:
        """Return the manifest of a step that ``run`` needs; raises UserError where it is missing."""
        return self._needed(step, run)[0]

    def known(self, step: str) -> tuple[dict[str, Any], Path]:
        """Return manifest and folder of a step that ``ancestry`` returned."""
        found = self._find(step)
        assert found is not None, step
        manifest, place = found
        return _whole(place / "manifest.json", manifest, MANIFEST), place

    def verdicts(self, fingerprint: str, run: RecordedRun) -> list[dict[str, Any]]:
        """Return the verdicts of a score step, as plain objects."""
        return self._lines(f"score/{fingerprint}", "verdicts.jsonl", run, _VERDICT, keep=True)

    def responses(self, fingerprint: str, run: RecordedRun) -> list[dict[str, Any]]:
        """Return the responses of a generate step, as plain objects; read anew each time, since they are large."""
        return self._lines(f"generate/{fingerprint}", "responses.jsonl", run, _RESPONSE)

    def examples(self, fingerprint: str, run: RecordedRun) -> list[dict[str, Any]]:
        """Return the examples of a prompt set, as plain objects."""
        return self._lines(f"prepare/{fingerprint}", "examples.jsonl", run, _EXAMPLE, keep=True)

    def traces(self, fingerprint: str, run: RecordedRun) -> list[dict[str, Any]]:
        """Return the likelihoods of traces that a perplexity step read, as plain objects."""
        return self._lines(f"perplexity/{fingerprint}", "perplexity.jsonl", run, _TRACE, keep=True)

    def row_ids(self, step: str, run: RecordedRun) -> list[str]:
        """Return the ids of a data set's rows, which may be too many to be kept."""
        return [row["id"] for row in self._lines(step, "examples.jsonl", run, _EXAMPLE)]

    def repeated_prompts(self, fingerprint: str, run: RecordedRun) -> dict[str, str]:
        """Return which rows of a prompt set hold the same prompt (see the function ``repeated_prompts``)."""
        if fingerprint not in self._repeated:
            self._repeated[fingerprint] = repeated_prompts(self.examples(fingerprint, run))
        return self._repeated[fingerprint]

    def ancestry(self, steps: Iterable[str]) -> list[str]:
        """Return the steps that are on disk and all steps before them, sorted."""
        known: set[str] = set()
        pending = list(steps)
        while pending:
            step = pending.pop()
            if step not in known and (found := self._find(step)):
                known.add(step)
                pending.extend(entry["step"] for entry in found[0]["inputs"].values())
        return sorted(known)

    def _find(self, step: str) -> tuple[dict[str, Any], Path] | None:
        """Return manifest and folder of a step, or None where no folder holds it finished."""
        if step not in self._found:
            places = (folder / step for folder in self._folders)
            place = next((place for place in places if (place / "manifest.json").is_file()), None)
            self._found[step] = place and (read_json(place / "manifest.json", INPUTS), place)
        return self._found[step]

    def _needed(self, step: str, run: RecordedRun) -> tuple[dict[str, Any], Path]:
        if (found := self._find(step)) is None:
            raise UserError(
                f"The run {run.name} needs the step {step}, which is not (or not finished) in "
                f"{', '.join(map(str, self._folders))}. Make it again: {run.command}"
            )
        return found

    def _lines(
        self, step: str, name: str, run: RecordedRun, needed: Collection[str], keep: bool = False
    ) -> list[dict[str, Any]]:
        if step in self._kept:
            return self._kept[step]
        manifest, place = self._needed(step, run)
        file = place / name
        # A file that was cut at the end of a line reads as well as a whole one.
        size = manifest.get("outputs", {}).get(name, {}).get("size")
        try:
            if size is not None and (found := file.stat().st_size) != size:
                raise ValueError(f"it has {found} bytes instead of {size}")
            rows = _objects(file, needed)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{file} of the run {run.name} is missing or damaged ({error}). Remove {file.parent} and make it "
                f"again: {run.command}"
            ) from error
        if keep:
            self._kept[step] = rows
        return rows


def repeated_prompts(examples: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return for each row of a prompt set whose prompt stands in several rows the id of the first of them.

    Prompts are the same where their ``meta["prompt_key"]`` is or, without one, their messages.
    """
    ids: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        key = example["meta"].get("prompt_key")
        ids[json.dumps(example["messages"] if key is None else [key], sort_keys=True)].append(example["id"])
    return {name: same[0] for same in ids.values() if len(same) > 1 for name in same}


def _objects(file: Path, needed: Collection[str]) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines, parsed in one go, which is twice as fast as line by line.

    Raises ValueError where a line is damaged or lacks a key that is needed.
    """
    lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    objects = json.loads(f"[{','.join(lines)}]")
    if len(objects) != len(lines) or not all(isinstance(entry, dict) for entry in objects):
        raise ValueError("a line is no JSON object")
    wanted = frozenset(needed)
    for number, entry in enumerate(objects, 1):
        if not entry.keys() >= wanted:
            raise ValueError(f"line {number}: {_lacking(entry, needed)}")
    return objects
