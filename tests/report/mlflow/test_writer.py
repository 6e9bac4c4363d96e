"""Writing to MLflow: again, after changes, and what its limits allow."""

from __future__ import annotations

from typing import Any

from safetax.report.mlflow.writer import unsynced
from tests.support.documents import checkpoint_of, edited
from tests.support.tracked import World, change, connect, record, scores_of_aligned


def test_writing_again_by_force_changes_nothing(world: World) -> None:
    world.track()
    points = {run.info.run_id: sizes(world, run) for run in world.logged()}
    for directory in world.runs:
        (directory / "tracked.json").unlink()
    world.track()
    assert {run.info.run_id: sizes(world, run) for run in world.logged()} == points


def sizes(world: World, run: Any) -> dict[str, int]:
    client = connect(world.outputs)
    return {key: len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics}


def test_a_changed_result_updates_its_run(world: World) -> None:
    world.track()
    before = {run.data.tags["safetax.run"]: run.info.run_id for run in world.logged()}
    lower = checkpoint_of(world.results, role="aligned").scores["accuracy"].value - 1.5

    def lower_it(document: dict[str, Any]) -> None:
        scores_of_aligned(document)["accuracy"]["value"] = lower

    world.results = edited(world.results, lower_it)
    (directory,) = (path for path in world.runs if record(path)["epochs"])
    (directory / "report.html").write_text("<h1>changed</h1>")
    world.track()
    after = {run.data.tags["safetax.run"]: run for run in world.logged()}
    assert {key: run.info.run_id for key, run in after.items()} == before
    run = after[record(directory)["id"]]
    assert run.data.metrics["accuracy"] == lower, "a lower score, too, replaces the one before"
    assert run.data.metrics["aligned/accuracy"] == lower
    shown = next((world.outputs / "mlartifacts").glob(f"**/{run.info.run_id}/**/report.html"))
    assert shown.read_text() == "<h1>changed</h1>"


def test_a_changed_setting_or_a_score_that_is_gone_replaces_the_run(world: World) -> None:
    world.track()
    (directory,) = (path for path in world.runs if record(path)["epochs"])
    identity = record(directory)["id"]
    client = connect(world.outputs)
    (old,) = world.logged(run=identity)
    client.set_tag(old.info.run_id, "mlflow.note.content", "a note of mine")
    change(directory, lambda values: values["config"]["runtime"].update(micro_batch=4))
    world.track()
    (new,) = world.logged(run=identity)
    assert new.data.params["runtime.micro_batch"] == "4"
    assert new.data.tags["mlflow.note.content"] == "a note of mine"
    assert client.list_artifacts(new.info.run_id)
    assert client.get_run(old.info.run_id).info.lifecycle_stage == "deleted"

    world.results = edited(world.results, lambda document: scores_of_aligned(document).pop("help"))
    world.track()
    (newest,) = world.logged(run=identity)
    assert "help" not in newest.data.metrics
    assert len(world.logged()) == len(world.runs)


def test_long_and_odd_settings_are_fitted_to_what_mlflow_takes(world: World) -> None:
    odd = {
        "text": "x" * 7000,
        "k" * 300: 1,
        "a:b#c[0]": "ü",
        "nothing": None,
        "empty": {},
        **dict.fromkeys(map(str, range(150)), 0),
    }
    change(world.runs[0], lambda values: values["config"].update(odd=odd))
    world.track()
    (run,) = world.logged(run=record(world.runs[0])["id"])
    assert len(run.data.params["odd.text"]) == 6000
    assert run.data.params["odd.a_b_c_0_"] == "ü"
    assert run.data.params["odd.nothing"] == "null"
    assert run.data.params["odd.149"] == "0"


def test_a_new_database_is_not_waited_for_and_later_ones_are() -> None:
    from sqlalchemy import create_engine, text

    def synchronous() -> int:
        with create_engine("sqlite://").connect() as connection:
            return connection.execute(text("PRAGMA synchronous")).scalar_one()

    with unsynced():
        assert synchronous() == 0
    assert synchronous() == 2
