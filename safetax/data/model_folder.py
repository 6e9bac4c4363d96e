"""The folder of a saved model, looked into before anything is loaded: what it lacks, or holds that cannot be.

Nothing heavy is imported and nothing in the folder is run: code of its own and pickles are refused.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from safetax.config.messages import nearest, show
from safetax.errors import ConfigError

FILES = (".safetensors", ".json", ".jinja", ".txt", ".model")
"""What of a model's folder decides what it does: weights, configuration, tokenizer."""
ADAPTER = "adapter_config.json"
POINTER = b"version https://git-lfs.github.com/"
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
"""How the tensor ends that has a row for each token."""
GENERIC = (None, "PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes of tokenizers that have no end-of-text token of their own."""
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")
SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
SAVE = "name a folder that save_pretrained of transformers wrote"
AGAIN = "copy or download the model again"


def check_folder(folder: Path, name: str) -> None:
    """Check that a folder holds a model's configuration and weights, whole, as safetensors.

    Args:
        folder: of the model.
        name: what the configuration calls it.

    Raises:
        ConfigError: something is missing, damaged or no file; names the model, the file and the remedy.
    """
    if (folder / ADAPTER).exists():
        what = f"the folder holds an adapter ({ADAPTER}), which would be put on another model while this one is loaded"
        _refuse(
            name, what, "merge it into its model (merge_and_unload of peft) and name the folder of that, or remove it"
        )
    if not (folder / "config.json").exists():
        _refuse(name, "the folder has no config.json", "name a folder with a saved model")
    for path in sorted(folder.iterdir()):
        if path.suffix in FILES and not path.is_file():
            _refuse(name, f"{path.name} is no file (or a link to none)", AGAIN)
        if path.suffix in (*FILES, *PICKLES) and path.is_file() and _begins(path, POINTER):
            _refuse(
                name, f"{path.name} is a pointer of Git LFS, and not the file itself", "fetch it with: git lfs pull"
            )
    config = _json(folder / "config.json", name)
    for key in SIZES:
        if key in config and (type(config[key]) is not int or config[key] < 1):
            _refuse(name, f"config.json has {key}={show(config[key])}, and needs a whole number, at least 1", AGAIN)
    if (folder / "model.safetensors").exists():
        _tensors(folder / "model.safetensors", name)
    elif (folder / INDEX).exists():
        _check_shards(folder, name)
    elif any(path.suffix in PICKLES for path in folder.iterdir()):
        _refuse(name, "its weights are pickles, which may hold code and are not loaded", "save them as safetensors")
    else:
        _refuse(name, f"the folder has neither model.safetensors nor {INDEX}", SAVE)


def _check_shards(folder: Path, name: str) -> None:
    """Check that every shard of an index is there, beside it, and holds the tensors that the index says."""
    shards = _json(folder / INDEX, name).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(file, str) for file in shards.values()):
        _refuse(name, f"{INDEX} has no weight_map, which says where each tensor is", AGAIN)
    for file in sorted(set(shards.values())):
        if Path(file).name != file or not file.endswith(".safetensors"):
            _refuse(name, f"{INDEX} names {show(file)}, and may name safetensors files beside it alone", AGAIN)
        if not (folder / file).is_file():
            _refuse(name, f"{INDEX} names {file}, which is not there", AGAIN)
        absent = {tensor for tensor, where in shards.items() if where == file} - _tensors(folder / file, name)
        if absent:
            _refuse(name, f"{INDEX} says that {file} has {min(absent)}, which it has not", AGAIN)


def _tensors(path: Path, name: str) -> set[str]:
    """Return the names of the tensors in a file whose header fits its size."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as tensors:
            names = set(tensors.keys())
            for tensor in (each for each in names if each.endswith(EMBEDDINGS)):
                _check_embeddings(path.parent, name, tensor, tensors.get_slice(tensor).get_shape())
            return names
    except (SafetensorError, OSError) as error:
        _refuse(name, f"{path.name} is damaged or cut ({error})", AGAIN)


def _check_embeddings(folder: Path, name: str, tensor: str, shape: list[int]) -> None:
    """Check that the tensor with a row for each token has as many as the configuration says."""
    vocabulary = vocabulary_of(_json(folder / "config.json", name))
    if vocabulary is not None and shape and shape[0] != vocabulary:
        what = f"{tensor} has {shape[0]} rows, and config.json vocab_size={vocabulary}"
        _refuse(name, what, "save model and configuration together")


def vocabulary_of(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens a model has embeddings of, by its configuration; None where that does not say it."""
    inner = config.get("text_config")
    found = config.get("vocab_size", inner.get("vocab_size") if isinstance(inner, Mapping) else None)
    return found if type(found) is int else None


def check_start(folder: Path, name: str, tokenizer: bool, template: bool) -> None:
    """Check that a model can be started from: it writes text, and its tokenizer and chat template can be used.

    Args:
        folder: of the model, which ``check_folder`` was content with.
        name: what the configuration calls it.
        tokenizer: whether its own tokenizer is used.
        template: whether its own chat template is.

    Raises:
        ConfigError: transformers has no such model, or tokenizer or template are missing or broken.
    """
    config = _json(folder / "config.json", name)
    kind, known = config.get("model_type"), _writers()
    if not isinstance(kind, str) or (known and kind not in known):
        own = "; code of its own (auto_map) is never run" if "auto_map" in config else ""
        what = f"config.json has model_type={show(kind)}, which transformers cannot write text with{own}"
        _refuse(name, what, "name a model of a type that it knows", nearest(str(kind), known))
    if not tokenizer:
        return
    settings = _json(folder / "tokenizer_config.json", name) if (folder / "tokenizer_config.json").exists() else {}
    if (folder / "tokenizer.json").exists():
        from tokenizers import Tokenizer

        try:
            tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab(with_added_tokens=True)
        except Exception as error:  # tokenizers raises no other class
            _refuse(name, f"tokenizer.json cannot be read ({(str(error).splitlines() or ['empty'])[0]})", AGAIN)
        _check_tokens(folder, name, tokens, settings)
    elif not any((folder / file).exists() for file in TOKENIZERS):
        _refuse(name, "the folder has no tokenizer (tokenizer.json)", "save the tokenizer beside the model")
    if template:
        _check_template(folder, name, settings)


def _check_tokens(folder: Path, name: str, tokens: Mapping[str, int], settings: Mapping[str, Any]) -> None:
    """Check that the model has an embedding of each token of its tokenizer, and that one of them ends a text."""
    added = settings.get("added_tokens_decoder")
    ids = [int(key) for key in added if str(key).isdecimal()] if isinstance(added, dict) else []
    last, vocabulary = max([*tokens.values(), *ids], default=0), vocabulary_of(_json(folder / "config.json", name))
    if vocabulary is not None and last >= vocabulary:
        what = f"its tokenizer has {last + 1} tokens, and the model embeddings of {vocabulary} (vocab_size)"
        _refuse(name, what, "save the tokenizer that the model was trained with beside it")
    path = folder / "special_tokens_map.json"
    named = {**(_json(path, name) if path.exists() else {}), **settings}
    end = named.get("eos_token")
    end = end.get("content") if isinstance(end, dict) else end
    if end is None and ("eos_token" in named or settings.get("tokenizer_class") in GENERIC):
        what = "its tokenizer has no end-of-text token (eos_token), so that nothing could teach it to stop"
        _refuse(name, what, "set eos_token in tokenizer_config.json")
    if end is not None and end not in tokens and tokens:
        _refuse(
            name, f"its end-of-text token {show(end)} is none of the tokenizer's", "set eos_token to one that it has"
        )


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _check_template(folder: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Check that the tokenizer's chat template renders a request."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    path = folder / "chat_template.jinja"
    found = path.read_text(encoding="utf-8", errors="replace") if path.exists() else settings.get("chat_template")
    if isinstance(found, list):
        named = {str(each.get("name")): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    if not found:
        remedy = "choose a format with template=chatml, such as format=s1, and a model that reasons already"
        _refuse(name, "its tokenizer has no chat template, which prompts are rendered with", f"add one, or {remedy}")

    def complain(text: str) -> NoReturn:
        raise TemplateError(text)

    text = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", str(found))  # a mark of transformers' own
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    values = {"raise_exception": complain, "strftime_now": lambda _: "", "bos_token": "", "eos_token": ""}
    request = [{"role": "user", "content": "request"}]
    try:
        shown = environment.from_string(text).render(messages=request, add_generation_prompt=True, **values)
    except Exception as error:  # a template may fail as any program does
        _refuse(name, f"its chat template cannot be used ({type(error).__name__}: {error})", "mend it")
    if "request" not in shown:
        _refuse(name, "its chat template leaves out what the user says", "mend it")


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        _refuse(name, f"{path.name} is no JSON ({type(error).__name__}: {error})", AGAIN)
    if not isinstance(values, dict):
        _refuse(name, f"{path.name} holds {show(values)[:40]}, and needs keys and values", AGAIN)
    return values


def _writers() -> set[str]:
    """Return the types of models that write text, as transformers' own table has them, without importing it.

    Empty where the table is not found; loading then says what is wrong.
    """
    found = importlib.util.find_spec("transformers")
    table = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = OrderedDict("
    for folder in (found and found.submodule_search_locations) or []:
        path = Path(folder) / "models" / "auto" / "modeling_auto.py"
        _, _, rest = path.read_text(encoding="utf-8").partition(table) if path.is_file() else ("", "", "")
        return set(re.findall(r'\("([\w.-]+)",', rest.partition("\n)")[0]))
    return set()


def _refuse(name: str, what: str, remedy: str, hint: str = "") -> NoReturn:
    raise ConfigError(f"id={name}: {what}; {remedy}.{hint}")
