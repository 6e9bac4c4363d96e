from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.records import Verdict, read_records, write_records
from safetax.report.__main__ import main
from safetax.report.build import build_report, write_run_results
from safetax.report.plots import draw_plots, wanted_plots
from safetax.report.plots.captions import describe
from safetax.report.tables import latex_table, markdown_table, terminal_table, write_tables
from safetax.results.collect import collect, write_results
from safetax.results.document import Checkpoint, JudgeScores
from safetax.results.reader import RecordedRun, read_json
from safetax.results.table_rows import table_rows
from safetax.results.variants import variants
from tests.support.documents import checkpoint_of, edited
from tests.support.synthetic import DATASETS, make_outputs

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_outputs(tmp_path_factory.mktemp("one") / "outputs", DATASETS[:2], (0, 1, 5), (0,))


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_outputs(tmp_path_factory.mktemp("three") / "outputs", DATASETS[:2], (0, 1, 5), (0, 1, 2))


def _copy(outputs: Path, to: Path) -> Path:
    return Path(shutil.copytree(outputs, to))


def _run_file(outputs: Path, start: str) -> Path:
    return next(outputs.glob(f"runs/{start}*/run.json"))


def _edit(file: Path, change: Change) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def _rewrite(file: Path, verdicts: Iterable[Verdict]) -> None:
    """Write other verdicts as if they had been made so."""
    write_records(file, verdicts)
    _keep_size(file)


def _keep_size(file: Path) -> None:
    """Let the manifest have the size that the file now has."""
    size = file.stat().st_size
    _edit(file.with_name("manifest.json"), lambda manifest: manifest["outputs"][file.name].update(size=size))


def _verdicts(outputs: Path, checkpoint: Checkpoint, benchmark: str) -> list[Verdict]:
    entry = checkpoint.benchmarks[benchmark]
    return read_records(outputs / "score" / entry.steps.scores[entry.judge] / "verdicts.jsonl", Verdict)


def test_scores_are_shares_of_the_verdicts_that_are_no_errors(one_seed: Path) -> None:
    document = collect([one_seed]).results
    aligned = checkpoint_of(document, dataset="direct_refusal", epochs=1.0)
    counted = [v for v in _verdicts(one_seed, aligned, "lab_harmful") if v.error is None]
    score = aligned.scores["harmful_score"]
    assert len(counted) == 59 and (score.n, score.errors) == (59, 1)
    assert score.value == pytest.approx(100 * sum(bool(v.harmful) for v in counted) / 59, abs=1e-5)
    assert score.interval == "wilson" and score.low < score.value < score.high
    benign = [v for v in _verdicts(one_seed, aligned, "lab_benign") if v.error is None]
    assert aligned.scores["over_refusal"].value == pytest.approx(
        100 * sum(bool(v.refused) for v in benign) / 59, abs=1e-5
    )
    assert aligned.scores["help"].value == pytest.approx(100 * sum(bool(v.correct) for v in benign) / 59, abs=1e-5)


def test_tax_and_gain_are_what_the_reported_scores_differ_by(one_seed: Path) -> None:
    document = collect([one_seed]).results
    lrm = checkpoint_of(document, role="lrm").scores
    for checkpoint in document.checkpoints:
        scores = checkpoint.scores
        if checkpoint.role == "aligned":
            for name, metric in [("safety_tax", "accuracy"), ("safety_gain", "harmful_score")]:
                assert scores[name].value == pytest.approx(lrm[metric].value - scores[metric].value, abs=1e-5)
                assert scores[name].low <= scores[name].value <= scores[name].high
    assert lrm["safety_tax"].value == lrm["safety_tax"].low == lrm["safety_tax"].high == 0.0
    assert "safety_tax" not in checkpoint_of(document, role="base").scores


def test_what_is_no_headline_stands_by_its_benchmark_alone(one_seed: Path) -> None:
    lrm = checkpoint_of(collect([one_seed]).results, role="lrm")
    quiet = lrm.benchmarks["lab_reasoning_no_thinking"]
    assert quiet.judges["lm_eval"].scores["accuracy"].value < 50 < lrm.scores["accuracy"].value
    assert lrm.benchmarks["lab_harmful"].judge == "lab_rules"
    assert set(lrm.benchmarks["lab_harmful"].judges) == {"lab_rules", "keywords"}


def test_a_shared_checkpoint_occurs_once_and_the_lrm_begins_every_curve(one_seed: Path) -> None:
    document = collect([one_seed]).results
    assert [c.role for c in document.checkpoints] == ["base", "lrm"] + ["aligned"] * 4
    assert [curve.label for curve in document.curves] == ["direct_refusal", "safechain"]
    lrm = checkpoint_of(document, role="lrm").id
    for curve in document.curves:
        assert [point.epochs for point in curve.points] == [0.0, 1.0, 5.0]
        assert curve.points[0].checkpoints == (lrm,)
        assert {point.bars for point in curve.points} == {"interval"}


def test_over_seeds_there_are_mean_and_spread_and_no_pooled_prompts(three_seeds: Path) -> None:
    document = collect([three_seeds]).results
    point = document.curves[0].points[1]
    assert point.seeds == ((0, 0), (1, 1), (2, 2)) and point.bars == "seeds"
    for metric, score in point.scores.items():
        assert score.mean == pytest.approx(sum(score.values) / 3, abs=1e-5), metric
        assert (score.low, score.high) == (min(score.values), max(score.values))
        assert len(score.n) == 3 and max(score.n) <= 60


def test_alignment_seeds_that_share_an_lrm_count_it_once(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", DATASETS[:1], (0, 1), [(0, 7), (1, 7), (2, 7)])
    (curve,) = collect([outputs]).results.curves
    assert [len(point.checkpoints) for point in curve.points] == [1, 3]
    assert curve.points[0].scores["accuracy"].sd is None


def test_the_document_is_the_same_from_anywhere_and_holds_no_clock_host_or_path(one_seed: Path, tmp_path: Path) -> None:
    copy = _copy(one_seed, tmp_path / "elsewhere")
    files = []
    for name, directories in {
        "a": [one_seed],
        "b": [copy],
        "c": [copy, one_seed],
        "d": sorted(one_seed.glob("runs/*"), reverse=True),
        "e": list(one_seed.glob("sweeps/*")),
    }.items():
        files.append(write_results(collect(directories), tmp_path / name))
    text = files[0].read_text()
    assert all(file.read_text() == text for file in files)
    for secret in (str(tmp_path), str(one_seed), "synthetic", "2026-"):
        assert secret not in text
    provenance = json.loads((tmp_path / "a" / "provenance.json").read_text())
    assert any(step.startswith("train/") for step in provenance["steps"])
    assert {entry["host"] for entry in provenance["steps"].values()} == {"synthetic"}


def test_a_folder_split_in_two_gives_what_the_whole_gave(one_seed: Path, tmp_path: Path) -> None:
    halves = [_copy(one_seed, tmp_path / name) for name in ("left", "right")]
    for half, start in zip(halves, ("safechain", "direct_refusal"), strict=True):
        for run in half.glob(f"runs/{start}*"):
            shutil.rmtree(run)
    assert collect(halves).results == collect([one_seed]).results
    assert len(collect(halves[:1]).results.curves) == 1


def test_a_missing_step_names_run_step_and_command(one_seed: Path, tmp_path: Path) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    run = json.loads(_run_file(outputs, "safechain-e5").read_text())
    score = run["checkpoints"][-1]["evaluations"][0]["scores"]["lm_eval"]
    (outputs / "score" / score / "manifest.json").unlink()
    with pytest.raises(UserError) as caught:
        collect([outputs])
    for part in (run["name"], f"score/{score}", "python -m safetax dataset=safechain epochs=5"):
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "ru'])
def test_a_damaged_record_is_named(one_seed: Path, tmp_path: Path, text: str) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    file = _run_file(outputs, "safechain-e5")
    file.write_text(text)
    with pytest.raises(UserError, match=re.escape(str(file))):
        collect([outputs])


@pytest.mark.parametrize("kept", [0, 20])
@pytest.mark.parametrize("name", ["verdicts.jsonl", "examples.jsonl"])
def test_a_file_cut_at_the_end_of_a_line_is_not_read_as_if_whole(
    one_seed: Path, tmp_path: Path, name: str, kept: int
) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    file = next(iter(sorted(outputs.glob(f"*/*/{name}"))))
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:kept]))
    with pytest.raises(UserError, match=r"is missing or damaged .it has .* bytes instead of .* Remove") as caught:
        collect([outputs])
    assert str(file) in str(caught.value) and "python -m safetax" in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "content", "missing"),
    [
        ("score/*/manifest.json", "{}", "'summary'"),
        ("train/*/manifest.json", '{"inputs": {}, "summary": {}}', "'provenance'"),
        ("runs/*/run.json", '{"schema": 1, "name": "x"}', "'checkpoints'"),
        ("runs/*/run.json", "{}", "'schema'"),
        ("sweeps/*/sweep.json", '{"schema": 1}', "'runs'"),
        ("sweeps/*/sweep.json", '{"schema": 2, "runs": []}', "schema 2"),
    ],
)
def test_a_record_that_lacks_something_is_named_with_it(
    one_seed: Path, tmp_path: Path, pattern: str, content: str, missing: str
) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    file = next(iter(sorted(outputs.glob(pattern))))
    file.write_text(content)
    with pytest.raises(UserError, match=missing) as caught:
        collect([file.parent if "sweeps" in pattern else outputs])
    assert str(file) in str(caught.value) and "again" in str(caught.value)


def test_a_verdict_that_lacks_something_is_named_with_it(one_seed: Path, tmp_path: Path) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    file = next(iter(sorted(outputs.glob("score/*/verdicts.jsonl"))))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], '{"id": "x"}\n', *lines[2:]]))
    _keep_size(file)
    with pytest.raises(UserError, match=re.escape(str(file)) + ".*line 2: it has no 'repeat', no 'label'"):
        collect([outputs])


def test_the_remedy_names_the_outputs_folder_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def command(outputs: str, *overrides: str) -> str:
        return RecordedRun(Path(outputs), {"name": "run", "overrides": list(overrides)}).command

    assert command("outputs", "seed=1", "runtime.outputs=/old") == "python -m safetax seed=1"
    assert command("copy", "seed=1") == "python -m safetax seed=1 runtime.outputs=copy"
    assert command("/new", "++runtime.outputs=/old", "seed=1") == "python -m safetax seed=1 runtime.outputs=/new"
    assert shlex.split(command("my copy"))[-1] == "runtime.outputs='my copy'"


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(f"No finished run below {tmp_path}")):
        collect([tmp_path])
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'none'}: there is no such folder")):
        collect([tmp_path / "none"])


def test_a_judge_that_only_fails_gives_no_score_and_its_errors(one_seed: Path, tmp_path: Path) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    aligned = checkpoint_of(collect([outputs]).results, dataset="safechain", epochs=5.0)
    score = aligned.benchmarks["lab_harmful"].steps.scores["lab_rules"]
    file = outputs / "score" / score / "verdicts.jsonl"
    _rewrite(file, [Verdict(v.id, v.repeat, "error", error="no answer") for v in read_records(file, Verdict)])
    document = collect([outputs]).results
    broken = checkpoint_of(document, dataset="safechain", epochs=5.0)
    assert "harmful_score" not in broken.scores and "safety_gain" not in broken.scores
    assert broken.benchmarks["lab_harmful"].judges["lab_rules"] == JudgeScores({}, 60)
    assert write_tables(document, tmp_path) and terminal_table(document)
    draw_plots(document, tmp_path / "figures")


def test_a_judge_that_says_nothing_of_what_a_benchmark_measures_is_no_headline(one_seed: Path, tmp_path: Path) -> None:
    """A judge of harm alone stands first and says of benign prompts neither refused nor answered."""
    outputs = _copy(one_seed, tmp_path / "outputs")
    before = checkpoint_of(collect([outputs]).results, dataset="safechain", epochs=5.0)
    silent: dict[str, str] = {}

    def add_harm_alone(run: dict[str, Any]) -> None:
        for checkpoint in run["checkpoints"]:
            for evaluation in checkpoint["evaluations"]:
                if evaluation["benchmark"] == "lab_benign":
                    own = evaluation["scores"]["lab_rules"]
                    evaluation["scores"] = {"harm_alone": silent.setdefault(own, own[::-1]), "lab_rules": own}

    for file in outputs.glob("runs/*/run.json"):
        _edit(file, add_harm_alone)
    for own, other in silent.items():
        shutil.copytree(outputs / "score" / own, outputs / "score" / other)
        verdicts = read_records(outputs / "score" / own / "verdicts.jsonl", Verdict)
        said = [Verdict(v.id, v.repeat, "safe", harmful=False) for v in verdicts]
        _rewrite(outputs / "score" / other / "verdicts.jsonl", said)
    after = checkpoint_of(collect([outputs]).results, dataset="safechain", epochs=5.0)
    benign = after.benchmarks["lab_benign"]
    assert benign.judge == "lab_rules" and list(benign.judges) == ["harm_alone", "lab_rules"]
    assert benign.judges["harm_alone"].scores == {}
    assert after.scores["over_refusal"] == before.scores["over_refusal"]
    assert after.scores["help"] == before.scores["help"]


def test_several_headline_benchmarks_are_averaged_and_repeats_bootstrapped(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", DATASETS[:1], (0, 1), (0,), repeats=4)
    before = checkpoint_of(collect([outputs]).results, role="lrm")
    assert before.scores["accuracy"].interval == "bootstrap"
    assert before.scores["accuracy"].n == 60
    assert before.benchmarks["lab_reasoning"].responses == 240

    def both(run: dict[str, Any]) -> None:
        for checkpoint in run["checkpoints"]:
            for evaluation in checkpoint["evaluations"]:
                evaluation["headline"] = True

    for file in outputs.glob("runs/*/run.json"):
        _edit(file, both)
    after = checkpoint_of(collect([outputs]).results, role="lrm")
    parts = [
        b.judges["lm_eval"].scores["accuracy"].value for b in after.benchmarks.values() if b.measures == "accuracy"
    ]
    assert after.scores["accuracy"].value == pytest.approx(sum(parts) / 2, abs=1e-5)
    assert after.scores["accuracy"].n == 120


def test_a_setting_that_was_changed_makes_a_curve_of_its_own(one_seed: Path, tmp_path: Path) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    for epochs in ("1", "5"):
        folder = _run_file(outputs, f"safechain-e{epochs}-").parent
        other = _copy(folder, folder.with_name(f"{folder.name}-again"))

        def change(run: dict[str, Any], name: str = other.name) -> None:
            run["name"] = name
            run["config"]["alignment"]["learning_rate"] = 5e-5
            old = run["checkpoints"][-1]["train"]
            run["checkpoints"][-1]["train"] = f"{old[:-1]}{'0' if old[-1] != '0' else '1'}"

        _edit(other / "run.json", change)
    document = collect([outputs]).results
    assert [curve.label for curve in document.curves] == [
        "direct_refusal",
        "safechain (alignment.learning_rate=0.0001)",
        "safechain (alignment.learning_rate=5e-05)",
    ]
    assert all([point.bars for point in curve.points] == ["interval"] * 3 for curve in document.curves)


def test_the_same_weights_evaluated_in_two_ways_are_two_checkpoints(one_seed: Path, tmp_path: Path) -> None:
    outputs = _copy(one_seed, tmp_path / "outputs")
    folder = _run_file(outputs, "lrm-e0").parent
    other = _copy(folder, folder.with_name("lrm-fewer"))

    def fewer(run: dict[str, Any]) -> None:
        run["name"] = "lrm-fewer"
        run["checkpoints"][1]["evaluations"].pop()

    _edit(other / "run.json", fewer)
    lrms = [c for c in collect([outputs]).results.checkpoints if c.role == "lrm"]
    assert len({c.id for c in lrms}) == 2 and {len(c.benchmarks) for c in lrms} == {3, 4}


def test_runs_that_differ_in_the_epochs_of_the_reasoning_stage_are_no_seeds() -> None:
    configs = [{"epochs": 1, "seed": 0, "reasoning": {"training": {"epochs": epochs}}} for epochs in (1, 3)]
    assert variants(configs) == ["reasoning.training.epochs=1", "reasoning.training.epochs=3"]
    assert variants([{"epochs": 1, "alignment": {"epochs": 1}}, {"epochs": 2, "alignment": {"epochs": 2}}]) == ["", ""]
    assert variants([{"dataset": {"rows": {"world_seed": 1}}}, {"dataset": {"rows": {"world_seed": 2}}}]) == ["", ""]


def test_of_runs_that_the_same_settings_made_anew_the_newest_counts(one_seed: Path, tmp_path: Path) -> None:
    """As behind a new version of a step's rules, or an edited file: it is no second seed."""
    outputs = _copy(one_seed, tmp_path / "outputs")
    file = _run_file(outputs, "safechain-e5")
    other = _copy(file.parent, file.parent.with_name("made-anew"))
    seen: list[str] = []

    def anew(run: dict[str, Any]) -> None:
        run["name"] = "made-anew"
        for evaluation in run["checkpoints"][-1]["evaluations"]:
            for judge, fingerprint in evaluation["scores"].items():
                place = outputs / "score" / fingerprint
                evaluation["scores"][judge] = f"{fingerprint[:-1]}x"
                shutil.copytree(place, place.with_name(evaluation["scores"][judge]))
                _edit(place.with_name(evaluation["scores"][judge]) / "manifest.json", later)
        seen.append(run["name"])

    def later(manifest: dict[str, Any]) -> None:
        manifest["fingerprint"] = f"{manifest['fingerprint'][:-1]}x"
        manifest["provenance"]["finished"] = "2027-01-02T03:04:05+00:00"

    _edit(other / "run.json", anew)
    document = collect([outputs]).results
    assert seen and document.replaced == (read_json(file)["name"],)
    assert all(point.bars == "interval" for curve in document.curves for point in curve.points)
    assert "made-anew" in {run.name for run in document.runs}
    page = build_report(collect([outputs]), tmp_path / "report").read_text(encoding="utf-8")
    assert f"Left out:</strong> 1 run, replaced by newer ones of\nthe same settings ({document.replaced[0]})" in page


def test_tables_hold_every_checkpoint_and_escape_names(one_seed: Path, three_seeds: Path, tmp_path: Path) -> None:
    one, three = collect([one_seed]).results, collect([three_seeds]).results
    write_tables(one, tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert len(rows) == len(one.checkpoints) == 6
    aligned = checkpoint_of(one, dataset="safechain", epochs=5.0)
    (row,) = [row for row in rows if (row["dataset"], row["epochs"]) == ("safechain", "5")]
    assert float(row["safety_tax"]) == aligned.scores["safety_tax"].value
    assert float(row["accuracy_low"]) == aligned.scores["accuracy"].low and row["accuracy_n"] == "60"
    assert len(table_rows(three)) == 6 and all(row.seeds == 3 for row in table_rows(three))
    assert "±" in markdown_table(three) and "±" not in markdown_table(one).split("\n\n")[0]
    assert "direct\\_refusal" in latex_table(one) and "direct_refusal" not in latex_table(one)
    for line in latex_table(three).splitlines():
        assert not line.startswith(" lab") or line.count("&") == 12


def test_the_terminal_table_fits_80_columns(three_seeds: Path) -> None:
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(terminal_table(collect([three_seeds]).results))
    text = console.export_text()
    assert "direct_refusal" in text and "…" not in text and "×3" in text


@pytest.mark.slow
def test_plots_are_the_same_each_time_and_are_not_drawn_twice(three_seeds: Path, tmp_path: Path) -> None:
    document = collect([three_seeds]).results
    figures = draw_plots(document, tmp_path / "a")
    draw_plots(document, tmp_path / "b")
    assert [figure["name"] for figure in figures] == ["epochs", "tradeoff", "refusal"]
    for figure in figures:
        assert {Path(file).suffix for file in figure["files"]} == {".svg", ".pdf", ".png"}
        assert "seeds 0, 1, 2" in figure["caption"] and "not effect sizes" in figure["caption"]
        for file in figure["files"]:
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    made = (tmp_path / "a" / "epochs.svg").stat().st_mtime_ns
    assert draw_plots(document, tmp_path / "a") == figures
    assert (tmp_path / "a" / "epochs.svg").stat().st_mtime_ns == made
    (tmp_path / "a" / "epochs.svg").unlink()
    draw_plots(document, tmp_path / "a")
    assert (tmp_path / "a" / "epochs.svg").is_file()


def test_an_lrm_alone_has_a_tradeoff_plot_only(tmp_path: Path) -> None:
    document = collect([make_outputs(tmp_path / "outputs", (), (0,), (0,))]).results
    assert document.curves == ()
    (figure,) = draw_plots(document, tmp_path / "figures")
    assert figure["name"] == "tradeoff"
    assert re.search(r"Base model: harmful score [\d.]+ %, reasoning accuracy [\d.]+ %\. LRM: harmful", figure["alt"])


def test_captions_and_descriptions_are_of_what_is_drawn(one_seed: Path) -> None:
    """The panels over epochs have no base model; the trade-off has it."""
    document = collect([one_seed]).results
    shown = {name: caption for name, _, caption, _, _ in wanted_plots(document)}
    of_both = {"lab_reasoning", "lab_harmful"}
    counts = {
        c.id: sum(b.responses for name, b in c.benchmarks.items() if name in of_both) for c in document.checkpoints
    }
    base = checkpoint_of(document, role="base")
    every = sum(counts.values())
    assert f"of {every:,} responses" in shown["tradeoff"]
    assert f"of {every - counts[base.id]:,} responses" in shown["epochs"]
    assert "95\u00a0% interval" in shown["epochs"]

    def spoil(values: dict[str, Any]) -> None:
        (entry,) = [entry for entry in values["checkpoints"] if entry["id"] == base.id]
        entry["benchmarks"]["lab_harmful"]["judges"]["lab_rules"]["errors"] = 1000
        entry["scores"]["accuracy"] |= {"n": 7, "interval": "bootstrap"}

    document = edited(document, spoil)
    shown = {name: caption for name, _, caption, _, _ in wanted_plots(document)}
    assert "n = 7 to " in shown["tradeoff"] and "bootstrap" in shown["tradeoff"]
    assert "n = 7 to " not in shown["epochs"] and "bootstrap" not in shown["epochs"]
    metrics = {"harmful_score": "Harmful Score", "accuracy": "Reasoning Accuracy"}
    said = f"Base model: harmful score {base.scores['harmful_score'].value:.1f} %"
    assert said in describe(document, "Title", metrics, marks=True)
    assert said not in describe(document, "Title", metrics)


def test_the_report_is_made_again_from_disk_and_mistakes_cost_one_line(one_seed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safetax.report"]
    made = subprocess.run([*command, str(one_seed), "--out", str(tmp_path / "r")], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    for name in ("results.json", "provenance.json", "table.csv", "table.md", "table.tex", "report.html"):
        assert (tmp_path / "r" / name).stat().st_size > 0
    assert (tmp_path / "r" / "figures" / "tradeoff.svg").is_file()
    wrong = subprocess.run([*command, str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    assert wrong.stderr.startswith("Error: ") and "nowhere: there is no such folder" in wrong.stderr


def test_a_folder_that_cannot_be_written_to_costs_one_line(
    one_seed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for out in (Path("/proc/x"), tmp_path / "file" / "below", tmp_path / "file"):
        assert main([str(one_seed), "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"Error: --out {out}: this folder cannot be made or written to (")
        assert said.endswith("); name another one.\n")
    assert main([str(tmp_path)]) == 2
    assert not (tmp_path / "report").exists()


@pytest.mark.slow
def test_a_sweep_of_a_hundred_runs_is_read_in_two_seconds(tmp_path: Path) -> None:
    seeds = tuple(range(5))
    outputs = make_outputs(tmp_path / "outputs", DATASETS, (0, 1, 2, 3, 4, 5), seeds, prompts=200)
    assert len(list(outputs.glob("runs/*"))) >= 100 and len(list(outputs.glob("score/*"))) >= 400
    # Time of this process: the bar is for the reading, not for what else the machine does. Cores that are shared with
    # other work are slower all the same, which the time of parsing the lines alone, measured in turn, tells.
    seconds, parsing = [], []
    for _ in range(3):
        start = time.process_time()
        collect([outputs])
        middle = time.process_time()
        for file in outputs.glob("score/*/verdicts.jsonl"):
            for line in file.read_text().splitlines():
                json.loads(line)
        seconds.append(middle - start)
        parsing.append(time.process_time() - middle)
    assert min(seconds) < max(2, 7 * min(parsing)), (seconds, parsing)


def test_a_report_reads_every_file_of_verdicts_and_responses_once(
    three_seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results, tables, plots, page and the results of each run alone share what was read."""
    outputs = _copy(three_seeds, tmp_path / "outputs")
    (sweep,) = outputs.glob("sweeps/*")
    opened: Counter[Path] = Counter()
    read_text = Path.read_text

    def counted(path: Path, *args: Any, **kwargs: Any) -> str:
        opened[path] += 1
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", counted)
    monkeypatch.setattr("safetax.report.plots.draw_plots", lambda results, directory: [])
    collected = collect([sweep])
    build_report(collected, sweep)
    write_run_results(collected)
    for name in ("verdicts.jsonl", "responses.jsonl", "examples.jsonl"):
        files = {path: count for path, count in opened.items() if path.name == name}
        assert files.keys() == set(outputs.glob(f"*/*/{name}")) and set(files.values()) == {1}, name
    alone = {path.parent for path in outputs.glob("runs/*/results.json")}
    assert alone == set(outputs.glob("runs/*")) and len(alone) > 10
    monkeypatch.undo()
    folder = next(iter(sorted(alone)))
    written = (folder / "results.json").read_bytes(), (folder / "provenance.json").read_bytes()
    write_results(collect([folder]), tmp_path / "read")
    assert written == tuple((tmp_path / "read" / name).read_bytes() for name in ("results.json", "provenance.json"))


def test_reading_results_imports_nothing_heavy() -> None:
    code = "import sys, safetax.results.collect, safetax.report.tables, safetax.report.plots; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "matplotlib", "rich", "lm_eval", "mlflow"} & set(names)
