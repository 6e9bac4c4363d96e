"""Which files of the user's own a module reads: those it names, and those of the modules that it imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.data.references import files_read, hashes_of, is_installed, matching_files, module_facts, named_files


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def names(paths: list[Path], folder: Path) -> set[str]:
    return {path.relative_to(folder.resolve()).as_posix() for path in paths}


def test_modules_are_followed_and_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "judge.py": "import json, helper\nfrom parts.inner import one\nPROMPT = 'prompt.txt'\n",
        "helper.py": "import judge  # which is no endless round\nWORDS = Path(__file__).with_name('words.json')\n",
        "parts/__init__.py": "",
        "parts/inner.py": "from . import other\nONE = open('cwd.csv')\n",
        "parts/other.py": "TWO = 2\n",
        "words.json": "[]",
        "prompt.txt": "Is it?",
        "unread.txt": "",
        "here/cwd.csv": "",
    }
    put(tmp_path, files)
    monkeypatch.chdir(tmp_path / "here")
    read = files_read([], [tmp_path / "judge.py"], tmp_path)
    assert names(read, tmp_path) == set(files) - {"unread.txt"}


def test_installed_packages_are_not_looked_into(tmp_path: Path) -> None:
    put(tmp_path, {"judge.py": "import torch, yaml, json, safetax.api\nfrom lm_eval.api import task\n"})
    assert files_read([], [tmp_path / "judge.py"], tmp_path) == []
    assert is_installed(Path(pytest.__file__)) and not is_installed(tmp_path / "judge.py")


def test_texts_that_name_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.b").mkdir()
    for text in ("", ".", "..", "a.b", "no.such", "https://a.b/c.json", "x" * 5000 + ".json", "\0.json", "~nobody/a.b"):
        assert list(named_files(text, tmp_path)) == []


def test_a_prompt_in_a_file_names_the_file_and_a_pattern_its_files(tmp_path: Path) -> None:
    put(tmp_path, dict.fromkeys(("prompts.yaml", "parts/a.jsonl", "parts/b.jsonl", "parts/c.txt"), ""))
    assert names(list(named_files("prompts.yaml:mine", tmp_path)), tmp_path) == {"prompts.yaml"}
    assert names(list(matching_files("parts/*.jsonl", tmp_path)), tmp_path) == {"parts/a.jsonl", "parts/b.jsonl"}


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(folder)
    found = hashes_of([tmp_path / "one" / "a.txt", tmp_path / "two" / "a.txt"], tmp_path / "base")
    assert set(found) == {"a.txt", "a.txt~1"} and len(set(found.values())) == 2


def test_a_plug_in_that_reads_nothing_has_its_code_alone(tmp_path: Path) -> None:
    put(tmp_path, {"judge.py": "X = 1\n"})
    assert set(module_facts(tmp_path / "judge.py", {"part": "answer"})) == {"code"}
    put(tmp_path, {"rules.txt": "be kind"})
    before = module_facts(tmp_path / "judge.py", {"rules": str(tmp_path / "rules.txt")})
    assert set(before["reads"]) == {"rules.txt"}
    put(tmp_path, {"rules.txt": "be strict"})
    after = module_facts(tmp_path / "judge.py", {"rules": str(tmp_path / "rules.txt")})
    assert before["code"] == after["code"] and before["reads"] != after["reads"]
