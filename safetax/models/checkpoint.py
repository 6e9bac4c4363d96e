"""Models and tokenizers: loaded from steps and the hub, saved, and verified so that nothing broken counts as done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetax.errors import UserError
from safetax.models.random_start import configuration

MODEL = "model"
"""Folder of the checkpoint in a train step."""


def source_of(identity: Mapping[str, Any], inputs: Mapping[str, Path]) -> tuple[str, str | None]:
    """Return the source of a step's starting model: its folder or hub id, and the revision (None: of a folder).

    Args:
        identity: the step's identity, which names the model where no input step makes it.
        inputs: the step's inputs.
    """
    if "model" in inputs:
        return str(inputs["model"] / MODEL), None
    model = identity["model"]
    commit = (model.get("resolved") or {}).get("commit")
    return model["id"], commit or model["revision"]


def load_tokenizer(identity: Mapping[str, Any], inputs: Mapping[str, Path]) -> Any:
    """Return the tokenizer of a step's starting model."""
    if "model" not in inputs and identity["model"]["tokenizer"] == "lab":
        from safetax.data.lab.tokenizer import build_tokenizer

        return build_tokenizer()
    from transformers import AutoTokenizer
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    source, revision = source_of(identity, inputs)
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    if get_tokenizer_config(source, revision=revision).get("add_bos_token") and tokenizer.bos_token_id is not None:
        tokenizer.add_bos_token = True  # the class that transformers takes it for may drop this
    pad = identity.get("model", {}).get("pad_token")
    if pad in tokenizer.get_vocab():
        tokenizer.pad_token = pad
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    identity: Mapping[str, Any],
    inputs: Mapping[str, Path],
    tokenizer: Any,
    dtype: str,
    seed: int,
    on_gpus: bool = False,
) -> Any:
    """Return a step's starting model, loaded, or with random weights; sets the seed of all generators.

    Args:
        identity: the step's identity.
        inputs: its inputs.
        tokenizer: the model's tokenizer.
        dtype: number format of the weights.
        seed: of a random start.
        on_gpus: load it onto the visible GPUs, spread over them where it does not fit on one.
    """
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    transformers.set_seed(seed)
    if "model" not in inputs and identity["model"]["start"] == "random":
        config = starting_config(identity["model"], tokenizer)
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    source, revision = source_of(identity, inputs)
    return AutoModelForCausalLM.from_pretrained(
        source,
        revision=revision,
        dtype=getattr(torch, dtype),
        trust_remote_code=False,
        use_safetensors=True,
        device_map="auto" if on_gpus and torch.cuda.is_available() else None,
    )


def starting_config(model: Mapping[str, Any], tokenizer: Any) -> Any:
    """Return transformers' configuration of a starting model.

    Args:
        model: its identity.
        tokenizer: its tokenizer, which a random start takes its vocabulary from.
    """
    if model["start"] == "random":
        return configuration(
            model["architecture"],
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    from transformers import AutoConfig

    source, revision = source_of({"model": model}, {})
    return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)


def save_model(
    directory: Path,
    model: Any,
    tokenizer: Any,
    state: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    ends: Sequence[int] = (),
) -> None:
    """Save a checkpoint as safetensors; ``verify_saved`` checks what was written.

    Args:
        directory: folder of the checkpoint.
        model: the model, or the shell of it where its weights are spread over ranks.
        tokenizer: its tokenizer.
        state: gathered weights; None: the model's own.
        dtype: number format of the saved weights; None: as they are.
        ends: tokens that end a turn, which whoever loads the checkpoint is told to stop at.
    """
    import torch

    prepare_generation_config(model.generation_config, ends)
    if dtype is not None and dtype != str(model.dtype).split(".")[1]:
        state = on_host(model.state_dict() if state is None else state, getattr(torch, dtype))
    model.save_pretrained(directory, state_dict=state)
    if dtype is not None:
        model.config.dtype = dtype  # of the weights that were saved, not of those that were trained
        model.config.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def on_host(state: Mapping[str, Any], dtype: Any = None) -> dict[str, Any]:
    """Return tensors in the host's memory; tied weights stay one.

    Args:
        state: the tensors by name.
        dtype: number format for those of floating-point numbers; None: as they are.
    """
    moved: dict[tuple[Any, ...], Any] = {}
    found = {}
    for name, value in state.items():
        place = (value.data_ptr(), value.shape, value.stride(), name if not value.numel() else "")
        if place not in moved:
            moved[place] = value.detach().to("cpu", dtype if value.is_floating_point() else None)
        found[name] = moved[place]
    return found


def generation_ends(source: str, revision: str | None) -> list[int]:
    """Return the tokens at which a model's own settings say that a response ends; none where it has no such settings.

    Args:
        source: its folder or hub id.
        revision: of the hub.
    """
    from transformers import GenerationConfig

    try:
        return ends_of(GenerationConfig.from_pretrained(source, revision=revision or "main"))
    except OSError:
        return []


def ends_of(generation: Any) -> list[int]:
    """Return the tokens to stop at of a ``generation_config``, which has one, several or none."""
    ends = generation.eos_token_id
    return list(ends) if isinstance(ends, list | tuple) else [] if ends is None else [ends]


def prepare_generation_config(generation: Any, ends: Sequence[int]) -> None:
    """Make a model's defaults for generation complete, and such that they can be saved.

    Args:
        generation: the model's ``generation_config``, changed in place.
        ends: tokens to stop at, besides its own.
    """
    stops = ends_of(generation)
    added = [token for token in ends if token not in stops]
    if added:
        generation.eos_token_id = [*stops, *added]
    try:
        generation.validate(strict=True)
    except ValueError:
        # Many published models have a temperature but do_sample=false, which transformers reads but does not write.
        generation.do_sample = True


def read_tensor(source: str, revision: str | None, name: str) -> Any:
    """Return one tensor of a model that lies on this machine, or None where its files do not hold it.

    Args:
        source: its folder or hub id.
        revision: of the hub.
        name: of the tensor.
    """
    from safetensors import safe_open
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
    from transformers.utils.hub import cached_file

    def file(called: str) -> str | None:
        return cached_file(
            source,
            called,
            revision=revision,
            local_files_only=True,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )

    index = file(SAFE_WEIGHTS_INDEX_NAME)
    part = SAFE_WEIGHTS_NAME if index is None else json.loads(Path(index).read_text())["weight_map"].get(name)
    path = None if part is None else file(part)
    if path is None:
        return None
    with safe_open(path, framework="pt") as tensors:
        return tensors.get_tensor(name) if name in tensors.keys() else None  # noqa: SIM118


def empty_model(directory: Path) -> Any:
    """Return the model that a checkpoint's configuration describes, its tensors without content."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory))


def verify_saved(directory: Path, dtype: str | None = None) -> None:
    """Check that a saved checkpoint has all the model's tensors, in their shapes, with finite numbers alone.

    Args:
        directory: folder of the checkpoint.
        dtype: number format that the weights must have; None: any.

    Raises:
        UserError: a tensor is missing, has another shape, as when a sharded weight was saved as size 0, has another
            number format, or holds something that is no finite number; or a file of the checkpoint is missing.
    """
    import torch
    from safetensors import safe_open

    saved_as = f"The saved checkpoint {directory}"
    model = empty_model(directory)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    if model.can_generate() and not (directory / "generation_config.json").is_file():
        raise UserError(f"{saved_as} lacks generation_config.json, which says where a response ends.")
    saved: dict[str, str] = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                saved[name] = path.name
                shape = tuple(tensors.get_slice(name).get_shape())
                if name in expected and shape != expected[name]:
                    raise UserError(f"{saved_as} has {name} with shape {shape} instead of {expected[name]}.")
                tensor = tensors.get_tensor(name)
                if not tensor.is_floating_point():
                    continue
                found = str(tensor.dtype).split(".")[1]
                if dtype is not None and found != dtype:
                    raise UserError(f"{saved_as} has {name} as {found} instead of {dtype}.")
                if not torch.isfinite(tensor).all():
                    raise UserError(
                        f"{saved_as} has numbers in {name} that are not finite: the training diverged. Lower its "
                        "learning_rate, or set max_grad_norm."
                    )
    for name, shape in expected.items():
        if name not in saved and name not in tied:
            raise UserError(f"{saved_as} lacks the tensor {name} of shape {shape}.")
    index = directory / "model.safetensors.index.json"
    files = json.loads(index.read_text())["weight_map"] if index.is_file() else saved
    if files != saved:
        wrong = next(name for name in sorted({*files, *saved}) if files.get(name) != saved.get(name))
        raise UserError(f"{saved_as} has {wrong} in {saved.get(wrong)}, but its index says {files.get(wrong)}.")
