"""The files that a push sends: rows as Parquet, or a checkpoint's own files, and a card; no path or secret in them."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from safetax.errors import UserError
from safetax.records import Example, read_records
from safetax.report.hub.card import dataset_card, model_card
from safetax.store.manifest import read_manifest

if TYPE_CHECKING:
    from safetax.plan.graph import PlannedRun
    from safetax.store.step import Step

CARD = "README.md"
ROWS = "data/train.parquet"
MODEL_FILES = {".safetensors", ".json", ".jinja", ".txt", ".model"}
CONFIGURATIONS = ("config.json", "tokenizer_config.json", "generation_config.json")
SECRET_NAMES = ("TOKEN", "KEY", "SECRET", "PASSWORD", "CREDENTIAL")


@dataclass(frozen=True)
class File:
    """A file to push: a path on disk or its content, with its size and sha256."""

    content: Path | bytes
    size: int
    sha256: str
    text: str | None = None
    """What stands in it, where its content is compressed."""

    @classmethod
    def of(cls, content: bytes, text: str | None = None) -> File:
        """Return a file of bytes that are in no file."""
        return cls(content, len(content), hashlib.sha256(content).hexdigest(), text)

    def read(self) -> bytes:
        """Return the content."""
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content

    def git_id(self) -> str:
        """Return the id that git gives the content of a small file."""
        content = self.read()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def dataset_files(run: PlannedRun, step: Step, outputs: Path) -> dict[str, File]:
    """Return card and rows of a data step by their names in the repository.

    The columns are ``id``, ``messages`` (up to the last user turn), ``thinking``, ``answer``, ``supervised`` (what
    of the turn carries loss), ``meta`` (as JSON) and ``text``, the row as the model is trained on it; without a
    tokenizer that knows the chat template there is no text.

    Raises:
        UserError: the step is not finished.
    """
    manifest = _finished(step, outputs)
    examples = read_records(outputs / step.key / "examples.jsonl", Example)
    texts = _texts(run, examples, outputs)
    content = _parquet(examples, texts)
    card = dataset_card(run, step, manifest, rendered=texts is not None)
    rows = "\n".join(json.dumps([e.messages, e.thinking, e.answer, e.meta], ensure_ascii=False) for e in examples)
    return {CARD: File.of(card.encode()), ROWS: File.of(content, text=rows)}


def model_files(run: PlannedRun, step: Step, outputs: Path) -> dict[str, File]:
    """Return card, weights, configurations and tokenizer of a train step by their names in the repository.

    Raises:
        UserError: the step is not finished, or its weights are gone.
    """
    manifest = _finished(step, outputs)
    files = {}
    for name, entry in manifest["outputs"].items():
        path = PurePath(name)
        if path.parts[0] == "model" and path.suffix in MODEL_FILES:
            files["/".join(path.parts[1:])] = _model_file(step, outputs / step.key / name, entry)
    if not any(name.endswith(".safetensors") for name in files):
        raise UserError(f"{step.key} has no weights; run it again with runtime.keep=all.")
    card = model_card(run, step, manifest, outputs)
    return {CARD: File.of(card.encode()), **files}


def _finished(step: Step, outputs: Path) -> dict[str, Any]:
    manifest = read_manifest(outputs / step.key)
    if manifest is None:
        raise UserError(f"the step {step.key} is not finished; run it again.")
    return manifest


def _texts(run: PlannedRun, examples: list[Example], outputs: Path) -> list[str] | None:
    """Return the rows as they are trained on, or None where the chat template is one that is not at hand."""
    from safetax.data.chat import ChatRenderer

    tokenizer = None
    if run.config.format.template == "own":
        trained = [outputs / entry.train.key / "model" for entry in run.checkpoints if entry.train is not None]
        folder = next((folder for folder in reversed(trained) if (folder / "tokenizer_config.json").is_file()), None)
        if folder is None:
            return None
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    renderer = ChatRenderer(tokenizer, run.config.format)
    return [renderer.row_text(example) for example in examples]


def _parquet(examples: list[Example], texts: list[str] | None) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    columns: dict[str, Any] = {
        "id": pa.array([example.id for example in examples], pa.string()),
        "messages": pa.array([example.messages for example in examples], pa.list_(message)),
        "thinking": pa.array([example.thinking for example in examples], pa.string()),
        "answer": pa.array([example.answer for example in examples], pa.string()),
        "supervised": pa.array([example.supervised for example in examples], pa.string()),
        # What rows know besides differs from row to row, which a column of one type cannot hold.
        "meta": pa.array([json.dumps(e.meta, ensure_ascii=False, sort_keys=True) for e in examples], pa.string()),
    }
    if texts is not None:
        columns["text"] = pa.array(texts, pa.string())
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _model_file(step: Step, path: Path, entry: Mapping[str, Any]) -> File:
    """Return a file of a checkpoint; a configuration goes without the paths of this machine."""
    if not path.is_file():
        raise UserError(f"{path.name} of {step.key} is gone, as runtime.keep asks; run again with runtime.keep=all.")
    if path.name in CONFIGURATIONS:
        values = json.loads(path.read_text(encoding="utf-8"))
        local = [key for key, value in values.items() if isinstance(value, str) and PurePath(value).is_absolute()]
        if local:
            kept = {key: value for key, value in values.items() if key not in local}
            return File.of((json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode())
    return File(path, entry["size"], entry["sha256"])


def refuse_secrets(files: Mapping[str, File]) -> None:
    """Refuse to send what holds a secret of the environment; weights and vocabularies are not looked at.

    Raises:
        UserError: names the file and the environment variable.
    """
    secrets = {
        name: value.encode()
        for name, value in os.environ.items()
        if len(value) >= 8 and any(part in name.upper() for part in SECRET_NAMES)
    }
    for path, file in files.items():
        if path.endswith(".safetensors") or path in ("tokenizer.json", "vocab.json", "merges.txt"):
            continue
        content = file.read() if file.text is None else file.text.encode()
        for name, value in secrets.items():
            if value in content:
                raise UserError(f"{path} holds the value of the environment variable {name}; nothing was sent.")
