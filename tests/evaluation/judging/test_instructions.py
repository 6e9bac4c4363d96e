"""Instructions: from files and packages, and where they are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.errors import ConfigError
from safetax.evaluation.judges import harmbench_cls, wildguard
from safetax.evaluation.judging.instructions import packaged_instruction, read_instruction


def test_an_instruction_is_read_from_a_package_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "wildguard"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "utils.py").write_text("import no_such_library\nWILDGUARD_INPUT_FORMAT = '''{prompt} / {response}'''\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert packaged_instruction("wildguard", "utils", "WILDGUARD_INPUT_FORMAT") == "{prompt} / {response}"
    assert packaged_instruction("wildguard", "utils", "OTHER") is None
    assert packaged_instruction("wildguard", "absent", "OTHER") is None
    assert wildguard.instruction(wildguard.Config("wildguard")) == "{prompt} / {response}"


def test_missing_instructions_say_where_to_get_them(tmp_path: Path, guard_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"template=null: .*pip install --no-deps wildguard"):
        wildguard.resolve(wildguard.Config("wildguard", id=str(guard_model)))
    with pytest.raises(ConfigError, match=r"template=null: .*\{behavior\} and \{generation\}"):
        harmbench_cls.resolve(harmbench_cls.Config("harmbench_cls", id=str(guard_model)))
    with pytest.raises(ConfigError, match="there is no such file"):
        read_instruction(str(tmp_path / "absent.txt"), ("prompt",))
    path = tmp_path / "half.txt"
    path.write_text("{prompt}")
    with pytest.raises(ConfigError, match=r"lacks the place \{response\}"):
        read_instruction(str(path), ("prompt", "response"))
