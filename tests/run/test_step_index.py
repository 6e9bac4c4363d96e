"""How a step or a run is named on the command line, and what lies in an outputs folder."""

from __future__ import annotations

from pathlib import Path

from safetax.run.step_index import StepIndex, read_runs
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.steps_command import Command
from tests.support.tiny_steps import chats, make, put_run


def test_key_may_be_written_in_many_ways(store: Store, score: Step, command: Command) -> None:
    folder = str(store.directory(score))
    for text in (score.key, score.fingerprint, f"score/{score.fingerprint[:4]}", folder, folder + "/", "score/"):
        assert score.title in command("show", text).out


def test_a_name_of_nothing_or_of_several_is_one_line_with_code_2(store: Store, score: Step, command: Command) -> None:
    make(store, *(chats(count) for count in range(1, 8)))
    wrong = score.key[:-1] + ("0" if score.key[-1] != "0" else "1")
    for arguments, words in [
        (["show", wrong], f"{wrong}: there is no such step in {store.root}. Did you mean {score.key}?"),
        (["show", "prepare/"], "8 steps begin so (prepare/"),
        (["verify", "nonsense"], "there is no such step"),
        (["prune", "--drop-run", "kepd"], "run kepd: there is no such run. Did you mean kept? Runs here: kept."),
    ]:
        told = command(*arguments)
        assert told.code == 2 and told.out == ""
        assert words in told.err and told.err.count("\n") == 1


def test_a_step_that_only_a_run_names_is_known(store: Store, score: Step) -> None:
    put_run(store.root, "planned", chats(9))
    index = StepIndex(store.root)
    assert index.find(chats(9).fingerprint) == chats(9).key
    assert index.state(chats(9).key) == "absent" and index.title(chats(9).key) == "?"
    assert [run.name for run in index.used_by(chats(9).key)] == ["planned"]
    assert [run.name for run in read_runs(store.root)] == ["kept", "planned"]


def test_a_folder_that_is_no_step_is_passed_over(store: Store, score: Step, tmp_path: Path) -> None:
    (store.root / "score" / "my notes").mkdir()
    (store.root / "score" / "0123456789ab").write_text("a file")
    assert sorted(StepIndex(store.root).folders) == sorted([step.key for step in (*score.inputs.values(), score)])
