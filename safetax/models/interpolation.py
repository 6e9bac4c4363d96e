"""Interpolation of two checkpoints' weights: (1 - share) x the first + share x the second, tensor by tensor.

Only one tensor of each is in memory at a time, whatever the files are like. The arithmetic is float32; the result has
the second one's number format, files and names. With a share of 0 or 1 the tensors are those of one of the two, bit for
bit (of the first: where both have the same number format).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from safetax.errors import UserError
from safetax.models.checkpoint import empty_model

WEIGHTS = ".safetensors"


def interpolate(
    first: Path, second: Path, share: float, target: Path, report: Callable[[int, int], None] = lambda done, total: None
) -> tuple[int, int]:
    """Write the checkpoint whose weights lie between two others'; all its other files are the second one's.

    Args:
        first: folder of a checkpoint, with safetensors of any number of files.
        second: the other one's.
        share: of the second, 0 to 1.
        target: folder to write to; what is there is replaced.
        report: called with the bytes that are written, and their total, after each tensor.

    Returns:
        the numbers of tensors and of parameters that were written.

    Raises:
        UserError: the two have different tensors: names, shapes, or whole numbers that differ.
    """
    with ExitStack() as opened:
        before, after = open_tensors(first, opened), open_tensors(second, opened)
        tied = aliases(second)
        try:
            source = _sources(before, after, tied)
        except ValueError as error:
            raise UserError(f"The checkpoints {first} and {second} cannot be interpolated: {error}.") from None
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in second.iterdir():
            if path.is_file() and path.suffix != WEIGHTS:
                shutil.copyfile(path, target / path.name)
        headers = {path.name: read_header(path) for path in sorted(second.glob(f"*{WEIGHTS}"))}
        total = sum(entries[-1][1]["data_offsets"][1] for _, entries in headers.values() if entries)
        done = parameters = 0
        for name, (head, entries) in headers.items():
            with (target / name).open("wb") as file:
                # The same names, shapes and number formats make the same header.
                file.write(head)
                for tensor, entry in entries:
                    old, new = before[source[tensor]].get_tensor(source[tensor]), after[tensor].get_tensor(tensor)
                    mixed = _between(old, new, share, tensor)
                    done += file.write(mixed.contiguous().reshape(-1).view(torch.uint8).numpy().data)
                    parameters += mixed.numel()
                    report(done, total)
                    assert file.tell() == len(head) + entry["data_offsets"][1], tensor
        return len(source), parameters


def open_tensors(folder: Path, opened: ExitStack) -> dict[str, Any]:
    """Open the files of a checkpoint until ``opened`` closes, and return for each tensor's name the file it is in.

    Raises:
        UserError: there are none.
    """
    from safetensors import safe_open

    files = {}
    for path in sorted(folder.glob(f"*{WEIGHTS}")):
        file: Any = opened.enter_context(safe_open(path, framework="pt"))
        files |= dict.fromkeys(file.keys(), file)
    if not files:
        raise UserError(f"The checkpoint {folder} has no weights as safetensors, so nothing can be interpolated.")
    return files


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
    return dict(getattr(empty_model(folder), "all_tied_weights_keys", None) or {})


def _sources(first: Mapping[str, Any], second: Mapping[str, Any], tied: Mapping[str, str]) -> dict[str, str]:
    """Return for each tensor of the second checkpoint its name in the first; tied weights may stand once or twice.

    Raises:
        ValueError: the two do not match.
    """
    found = {}
    for name in second:
        names = [name, tied.get(name), *(alias for alias, source in tied.items() if source == name)]
        there = next((each for each in names if each in first), None)
        if there is None:
            raise ValueError(f"the first has no {name}")
        shapes = [tuple(file.get_slice(key).get_shape()) for file, key in ((first[there], there), (second[name], name))]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} has the shapes {shapes[0]} and {shapes[1]}")
        found[name] = there
    known = {*found, *found.values(), *tied, *tied.values()}
    # What its model makes itself is no weight.
    extra = [name for name in first if name not in known and not name.endswith(".inv_freq")]
    if extra:
        raise ValueError(f"the second has no {extra[0]}")
    return found


def _between(first: torch.Tensor, second: torch.Tensor, share: float, name: str) -> torch.Tensor:
    if not second.is_floating_point():
        if not torch.equal(first, second):
            raise UserError(f"The whole numbers of {name} differ, so there is nothing between them.")
        return second
    if share in (0, 1):  # not by arithmetic, which would lose the sign of a zero
        return second if share else first.to(second.dtype)
    return torch.lerp(first.float(), second.float(), share).to(second.dtype)
