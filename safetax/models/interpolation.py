"""Interpolation of two checkpoints' weights: (1 - share) x the first + share x the second, tensor by tensor.

Only one tensor of each is in memory at a time, whatever the files are like. The arithmetic is float32; the result has
the second one's number format, files and names. With a share of 0 or 1 the tensors are those of one of the two, bit for
bit (of the first: where both have the same number format).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from safetax.errors import UserError

WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class WrittenWeights:
    """Numbers of tensors and of parameters that were written, and their size in bytes."""

    tensors: int
    parameters: int
    size: int


def interpolate(
    first: Path, second: Path, share: float, target: Path, report: Callable[[int, int], None] = lambda done, total: None
) -> WrittenWeights:
    """Write the checkpoint whose weights lie between two others'; all its other files are the second one's.

    Args:
        first: folder of a checkpoint, with safetensors of any number of files.
        second: the other one's.
        share: of the second, 0 to 1.
        target: folder to write to; what is there is replaced.
        report: called with the bytes that are written, and their total, after each tensor.

    Raises:
        UserError: the two have different tensors: names, shapes, or whole numbers that differ.
    """
    with ExitStack() as opened:
        before, after = Tensors(first, opened), Tensors(second, opened)
        source = _sources(before, after, aliases(second))
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in second.iterdir():
            if path.is_file() and path.suffix != WEIGHTS:
                shutil.copyfile(path, target / path.name)
        files = sorted({path.name for path in after.files.values()})
        headers = {name: read_header(second / name) for name in files}
        total = sum(max(entry["data_offsets"][1] for _, entry in entries) for _, entries in headers.values())
        done = parameters = tensors = 0
        for name in files:
            head, entries = headers[name]
            with (target / name).open("wb") as file:
                # The same names, shapes and number formats make the same header.
                file.write(head)
                for tensor, entry in entries:
                    mixed = _between(before.read(source[tensor]), after.read(tensor), share, tensor)
                    done += _write(file, mixed)
                    parameters += mixed.numel()
                    tensors += 1
                    report(done, total)
                    assert file.tell() == len(head) + entry["data_offsets"][1], tensor
        return WrittenWeights(tensors, parameters, done)


class Tensors:
    """The tensors of a checkpoint's files, read one by one."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        """Open the files, until ``opened`` closes.

        Raises:
            UserError: there are none.
        """
        from safetensors import safe_open

        self.folder = folder
        self.files: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}
        for path in sorted(folder.glob(f"*{WEIGHTS}")):
            file: Any = opened.enter_context(safe_open(path, framework="pt"))
            self._open[path] = file
            self.files |= dict.fromkeys(file.keys(), path)
        if not self.files:
            raise UserError(f"The checkpoint {folder} has no weights as safetensors, so nothing can be interpolated.")

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor."""
        return self._open[self.files[name]].get_tensor(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape without reading it."""
        return tuple(self._open[self.files[name]].get_slice(name).get_shape())


def read_header(path: Path) -> tuple[bytes, list[tuple[str, dict[str, Any]]]]:
    """Return the head of a safetensors file, and what it says of the tensors in the order of their data.

    The head is 8 bytes with the length of a JSON object, least significant first, and that object; ``data_offsets`` of
    a tensor count from its end (https://github.com/huggingface/safetensors#format).
    """
    with path.open("rb") as file:
        length = file.read(8)
        text = file.read(int.from_bytes(length, "little"))
    entries = {name: entry for name, entry in json.loads(text).items() if name != "__metadata__"}
    return length + text, sorted(entries.items(), key=lambda item: item[1]["data_offsets"])


def aliases(folder: Path) -> Mapping[str, str]:
    """Return the names of a checkpoint's tied weights, and the names of the weights that they are tied to."""
    return dict(getattr(_shell(folder), "all_tied_weights_keys", None) or {})


def _shell(folder: Path) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def _sources(first: Tensors, second: Tensors, tied: Mapping[str, str]) -> dict[str, str]:
    """Return for each tensor of the second checkpoint its name in the first; tied weights may stand once or twice.

    Raises:
        UserError: the two do not match.
    """
    told = f"The checkpoints {first.folder} and {second.folder} cannot be interpolated"
    found = {}
    for name in second.files:
        names = [name, tied.get(name), *(alias for alias, source in tied.items() if source == name)]
        there = next((each for each in names if each in first.files), None)
        if there is None:
            raise UserError(f"{told}: the first has no {name}.")
        shapes = first.shape(there), second.shape(name)
        if shapes[0] != shapes[1]:
            raise UserError(f"{told}: {name} has the shapes {shapes[0]} and {shapes[1]}.")
        found[name] = there
    known = {*found, *found.values(), *tied, *tied.values()}
    extra = next(_beyond(first, known), None)
    if extra is not None:
        raise UserError(f"{told}: the second has no {extra}.")
    return found


def _beyond(first: Tensors, known: set[str]) -> Iterator[str]:
    """Yield the weights of the first checkpoint that the second lacks; what its model makes itself is no weight."""
    yield from (name for name in first.files if name not in known and not name.endswith(".inv_freq"))


def _between(first: torch.Tensor, second: torch.Tensor, share: float, name: str) -> torch.Tensor:
    if not second.is_floating_point():
        if not torch.equal(first, second):
            raise UserError(f"The whole numbers of {name} differ, so there is nothing between them.")
        return second
    if share in (0, 1):  # not by arithmetic, which would lose the sign of a zero
        return second if share else first.to(second.dtype)
    return torch.lerp(first.float(), second.float(), share).to(second.dtype)


def _write(file: BinaryIO, tensor: torch.Tensor) -> int:
    return file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
