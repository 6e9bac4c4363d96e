"""The one place before the plan that looks at the world: what names and paths stand for right now.

Hub revisions become commits; local files, task definitions and modules of the user's own their content hashes. What is
found becomes part of the identity of the steps that use it, so that nothing stale is reused.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from safetax.config.annotations import component_nodes
from safetax.config.components import calling, component_module, component_name
from safetax.config.identity import check_restorable
from safetax.config.messages import join
from safetax.config.plugins import checked_facts
from safetax.config.schema import Config
from safetax.config.sections import unused_sections
from safetax.data.chat_template import RULE as TEMPLATE_RULE
from safetax.data.hub import UNKNOWN, UnreachableError, model_facts
from safetax.data.model_folder import check_start
from safetax.data.references import module_facts
from safetax.errors import ConfigError
from safetax.plan.context import check_context
from safetax.plan.graph import Resolved
from safetax.training.objectives import objective_of


class Resolver:
    """Resolves configurations; what one job of a sweep asked about is not asked again for the next.

    Args:
        lenient: let what the hub cannot be asked about stand as unknown, so that a plan can be shown without a network;
            ``unknown`` has the reasons then.
    """

    def __init__(self, lenient: bool = False) -> None:
        self.lenient = lenient
        self.unknown: list[str] = []
        self._known: dict[str, Any] = {}

    def resolve(self, config: Config) -> Resolved:
        """Find out what the configuration's names and paths stand for, as far as its steps depend on them.

        Raises:
            ConfigError: something named is not there; names the key and the remedy.
        """
        facts: dict[str, Any] = {}
        unused = ["world", *unused_sections(config)]  # data sets hold the rows of the world that they use themselves
        for path, node, package in [("model", config.model, "model"), *component_nodes(config)]:
            if not any(path == part or path.startswith(f"{part}.") for part in unused):
                facts[path] = self._ask(path, node, package)
        if "files" in (facts.get("model") or {}):
            self._check_start(config)
        check_context(config, unused)
        return Resolved(config, {path: found for path, found in facts.items() if found})

    def _check_start(self, config: Config) -> None:
        """Check once that a folder's model can be started from, with the tokenizer and template that are used."""
        name, own = str(config.model.id), config.model.tokenizer == "own"
        template = config.format.template == "own" or not config.model.reasoning  # a base model is asked plainly
        if (key := f"start {name} {own} {template}") not in self._known:
            try:
                self._known[key] = check_start(Path(name).expanduser(), name, own, template)
            except ConfigError as error:
                raise ConfigError(join("model", str(error))) from None

    def _ask(self, path: str, node: Any, package: str) -> Any:
        key = f"{package} {node!r}"
        if key not in self._known:
            try:
                if package == "model":
                    made_here = node.start == "random" or node.id is None
                    facts = {} if made_here else model_facts(str(node.id), node.revision)
                    self._known[key] = {**facts, "rule": TEMPLATE_RULE} if facts else None
                else:
                    module = component_module(package, node.kind)
                    check_restorable(package, node)
                    with calling(package, node.kind):
                        found = module.resolve(node) if hasattr(module, "resolve") else None
                    self._known[key] = checked_facts(found, component_name(package, node.kind))
                    if package == "objectives":
                        objective_of(node)  # one that cannot be made fails here, not behind the stages before it
                    if "." in node.kind and module.__file__:  # its author has no version to raise, as ours have
                        code = module_facts(Path(module.__file__), dataclasses.asdict(node))
                        self._known[key] = {**(self._known[key] or {}), **code}
            except ConfigError as error:
                told = join(path, str(error))
                if not (self.lenient and isinstance(error, UnreachableError)):
                    raise type(error)(told) from None
                self.unknown.append(told)
                self._known[key] = {"commit": UNKNOWN}
        return self._known[key]
