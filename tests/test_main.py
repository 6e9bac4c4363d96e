"""The command as a user meets it: what it prints, its exit code, and that a mistake leaves nothing on disk."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import safetax.__main__ as command_module
from safetax.config.schema import Config
from safetax.formatting import clock
from safetax.plan.graph import Plan
from safetax.run.session import Session
from safetax.run.terminal import standard_console

HEAVY = ("torch", "transformers", "datasets", "lm_eval", "mlflow", "deepspeed", "matplotlib", "tokenizers", "numpy")


@dataclass
class Told:
    """What a command printed, how it ended, and what it would have run."""

    code: int
    out: str
    err: str
    launched: list[list[Config]]
    left: list[str]


Safetax = Callable[..., Told]


@dataclass
class Launches:
    """Stands in for running plans: keeps what the command would run."""

    plans: list[Plan] = field(default_factory=list)

    @property
    def configs(self) -> list[list[Config]]:
        return [[run.config for run in plan.runs] for plan in self.plans]


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Launches:
    kept = Launches()
    monkeypatch.setattr(Session, "launch", lambda session, plan, sweep, launcher: kept.plans.append(plan))
    return kept


@pytest.fixture
def safetax(
    launches: Launches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Safetax:
    """Runs the command in this process, in an empty folder, up to where steps would run."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*arguments: str) -> Told:
        capsys.readouterr()
        launches.plans.clear()
        monkeypatch.setattr(sys, "argv", ["safetax", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_module.main()
        told = capsys.readouterr()
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        return Told(int(ended.value.code or 0), told.out, told.err, launches.configs, left)

    return call


def in_process_of_its_own(
    folder: Path, *arguments: str, python: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, "-m", "safetax", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def imported(times: str) -> set[str]:
    """Names of top-level packages in the output of ``python -X importtime``."""
    return {match[1].split(".")[0] for match in re.finditer(r"^import time:.*\|\s+([\w.]+)$", times, re.MULTILINE)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["epochs=abc"],
        ["epochs=-1"],
        ["epochs="],
        ["epohcs=3"],
        ["~seed"],
        ["~nosuch"],
        ["model=nosuch"],
        ["model=null"],
        ["+experiment=nosuch"],
        ["benchmark=[nosuch]"],
        ["benchmark=[]"],
        ["judge=[]"],
        [""],
        ["=3"],
        ["foo"],
        ["epochs=[1"],
        ["epochs=1,2"],
        ["-m", "epochs=1,abc"],
        ["-m", "epochs=interval(0,1)"],
        ["-m", "epochs=range(0,0)"],
        ["-m", "-m", "epochs=x"],
        ["-m", "runtime.outputs=a,b"],
        ["hydra.rn.dir=x"],
        ["hydra/launcher=nosuch"],
        ["hydra.run.dir=/proc/no"],
        ["-m", "hydra.sweep.dir=/proc/no"],
        ["runtime.outputs=/proc/no"],
        ["runtime.outputs="],
        [f"runtime.outputs={__file__}"],
        [f"runtime.outputs={__file__}/below"],
        ["runtime.python.train=python"],
        ["runtime.isolation=process", "runtime.python.train=/no/such/python"],
        ["runtime.isolation=process", "runtime.python.trane=python"],
        ["runtime.micro_batch=3"],
        ["model.name=../../escaped"],
        ["benchmark.lab_reasoning.prompts.task=nosuch"],
        ["benchmark.lab_reasoning.prompts.folder=/no/such"],
        ["dataset.rows={kind:file,path:/no/such.jsonl}"],
        ["--config-dir", "/no/such"],
        ["--config-name", "nosuch"],
        ["--config-path", "/no/such"],
        ["--experimental-rerun", "x"],
        ["--resolve"],
        ["--resolve", "--cfg", "hydra"],
        ["--package", "model"],
        ["--package", "nosuch", "--cfg", "job"],
        ["--package", "hydra", "--cfg", "job"],
        ["--shell-completion"],
        ["--shell-completion", "foo=1"],
        ["--shell-completion", "install=foo"],
        ["--shell-completion", "install=bash", "query=bash"],
        ["dataset=subset", "dataset.limit=10", "dataset.total=5"],
        ["model.start=pretrained", "model.id=/no/such/folder", "plan=true"],
        ["model=qwen3-0.6b", f"model.revision={'0' * 40}"],
        ["model=qwen3-0.6b", f"model.revision={'0' * 40}", "plan=true"],
        ["--cfg", "job", "model=nosuch"],
        ["--cfg", "job", "-m"],
        ["--help", "model=nosuch"],
        ["--info", "defaults", "model=nosuch"],
        ["plan=maybe"],
        ["plan=true", "epochs=-1"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_message_and_leaves_nothing(safetax: Safetax, arguments: list[str]) -> None:
    told = safetax(*arguments)
    assert told.code == 2
    assert told.err.startswith("Error: ")
    assert told.err.count("Error") == 1
    assert "Traceback" not in told.err + told.out
    assert len(told.err.splitlines()) <= 2
    assert (told.out, told.launched, told.left) == ("", [], [])


def test_an_outputs_folder_that_cannot_be_written_is_refused(safetax: Safetax, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        locked = Path("/proc/self")  # the superuser may write anywhere but here
    told = safetax(f"runtime.outputs={locked}/outputs")
    assert told.code == 2
    assert f"{locked}/outputs" in told.err
    assert told.launched == []


@pytest.mark.parametrize(
    "arguments", [["--nosuch"], ["--cfg", "nosuch"], ["--info", "nosuch"], ["--config-dir"], ["-p"]]
)
def test_a_flag_that_there_is_not_shows_the_usage(safetax: Safetax, arguments: list[str]) -> None:
    told = safetax(*arguments)
    assert told.code == 2
    assert told.err.startswith("usage: safetax ")
    assert "Traceback" not in told.err
    assert (told.launched, told.left) == ([], [])


@pytest.mark.parametrize("arguments", [["epochs=abc"], ["-m", "dataset=direct_refusal,safchain"]])
def test_a_mistake_in_a_process_of_its_own(tmp_path: Path, arguments: list[str]) -> None:
    ended = in_process_of_its_own(tmp_path, *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: ")
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_says_what_there_is(safetax: Safetax) -> None:
    told = safetax("--help")
    assert told.code == 0
    for text in (
        "safetax measures",
        "plan=true",
        "dataset: benign, dgr, direct_refusal",
        "lab_figure, lab_methods, lab_quick",
        "epochs: 5",
    ):
        assert text in told.out
    assert (told.err, told.launched, told.left) == ("", [], [])


def test_version_is_of_safetax_and_hydra(safetax: Safetax) -> None:
    told = safetax("--version")
    assert told.code == 0
    assert told.out.startswith(f"safetax {importlib.metadata.version('safetax')}, Hydra 1.3")


def test_cfg_shows_the_job(safetax: Safetax) -> None:
    told = safetax("--cfg", "job", "epochs=3", "runtime=single", "runtime.threads=2")
    assert told.code == 0
    assert "\nepochs: 3\n" in told.out
    assert "  threads: 2\n" in told.out
    assert "\nhydra:" not in told.out
    assert "\n  epochs: 3\n" in safetax("--cfg", "job", "--resolve", "epochs=3").out
    assert safetax("--cfg", "job", "--package", "evaluation").out.startswith("# @package evaluation\nname: lab\n")
    assert "hydra/launcher: local" in safetax("--cfg", "hydra").out
    assert told.left == []


@pytest.mark.parametrize(
    ("which", "text"), [("defaults", "dataset/benign"), ("searchpath", "conf"), ("plugins", "BasicLauncher")]
)
def test_info_shows_what_was_composed(safetax: Safetax, which: str, text: str) -> None:
    told = safetax("--info", which, "dataset=benign")
    assert told.code == 0
    assert text in told.out
    assert (told.launched, told.left) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "epochs"),
    [
        (["-m", "epochs=0,0.5,1"], [0.0, 0.5, 1.0]),
        (["-m", "epochs=range(0,3)"], [0.0, 1.0, 2.0]),
        (["-m", "epochs=range(0,1,0.5)"], [0.0, 0.5]),
        (["-m", "epochs=choice(2,1)"], [2.0, 1.0]),
        (["epochs=1,2", "-m"], [1.0, 2.0]),
        (["seed=3", "--multirun", "epochs=1,2"], [1.0, 2.0]),
        (["-m", "seed=3", "-m", "epochs=1,2"], [1.0, 2.0]),
        (["-m"], [5.0]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_a_sweep_is_one_launch_wherever_its_flag_stands(
    safetax: Safetax, arguments: list[str], epochs: list[float]
) -> None:
    told = safetax(*arguments)
    assert told.code == 0, told.err
    assert [[config.epochs for config in jobs] for jobs in told.launched] == [epochs]


def test_a_sweep_over_groups_and_values_is_their_product(safetax: Safetax) -> None:
    told = safetax(
        "-m", "dataset=glob([safech*,self*],exclude=safechain_*)", "epochs=1,2", "lrm_seed=${seed}", "seed=4"
    )
    [jobs] = told.launched
    assert [(config.dataset.name, config.epochs) for config in jobs] == [
        ("safechain", 1.0),
        ("safechain", 2.0),
        ("self_generated", 1.0),
        ("self_generated", 2.0),
    ]
    assert {config.lrm_seed for config in jobs} == {4}


def test_quotes_in_a_sweep_reach_the_jobs_as_they_were_meant(safetax: Safetax) -> None:
    told = safetax("-m", r"""dataset.thinking='a, "b"','it\'s c: [d]',plain""")
    [jobs] = told.launched
    assert [vars(config.dataset)["thinking"] for config in jobs] == ['a, "b"', "it's c: [d]", "plain"]
    told = safetax("-m", "alignment.betas=[0.8,0.9],[0.9,0.99]", "model.name=a,b")
    [jobs] = told.launched
    assert [config.alignment.betas for config in jobs] == [[0.8, 0.9], [0.8, 0.9], [0.9, 0.99], [0.9, 0.99]]


def test_a_preset_declares_a_sweep_that_overrides_narrow(safetax: Safetax) -> None:
    [jobs] = safetax("-m", "+experiment=lab_figure").launched
    assert len(jobs) == 28
    [jobs] = safetax("-m", "+experiment=lab_figure", "dataset=safechain", "epochs=0,1", "seed=7").launched
    assert [(config.dataset.name, config.epochs, config.seed, config.lrm_seed) for config in jobs] == [
        ("safechain", 0.0, 7, 7),
        ("safechain", 1.0, 7, 7),
    ]


def test_a_sweep_of_the_users_own_experiment(safetax: Safetax, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "two.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 1,2\n      dataset.limit: 7\n"
    )
    told = safetax("-m", "--config-dir", str(tmp_path / "mine"), "+experiment=two", "epochs=1")
    assert told.code == 0, told.err
    [jobs] = told.launched
    assert [(config.seed, vars(config.dataset)["limit"], config.epochs) for config in jobs] == [
        (1, 7, 1.0),
        (2, 7, 1.0),
    ]


def test_a_launcher_of_another_package_is_given_the_jobs_one_by_one(safetax: Safetax, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    arguments = ["-m", "hydra/launcher=basic", "+experiment=lab_figure", f"runtime.outputs={outputs}"]
    told = safetax(*arguments, "dataset=safechain", "epochs=0,1", "seed=7")
    assert told.code == 0, told.err
    assert [[(job.epochs, job.seed, job.lrm_seed) for job in jobs] for jobs in told.launched] == [
        [(0.0, 7, 7)],
        [(1.0, 7, 7)],
    ]
    assert len(list(outputs.glob("sweeps/*/[01]/hydra/config.yaml"))) == 2


def test_what_runs_is_what_was_planned(safetax: Safetax, launches: Launches) -> None:
    planned = safetax("-m", "epochs=0,1", "seed=1,2", "plan=true").out
    safetax("-m", "epochs=0,1", "seed=1,2")
    assert re.findall(r"^\w+ +([0-9a-f]{12})", planned, re.MULTILINE) == [
        s.fingerprint for s in launches.plans[-1].steps
    ]


def test_a_run_goes_where_it_is_told(safetax: Safetax, tmp_path: Path) -> None:
    told = safetax(f"runtime.outputs={tmp_path}/else where", "epochs=1")
    assert told.code == 0, told.err
    assert told.left == []
    [folder] = (tmp_path / "else where" / "runs").iterdir()
    assert folder.name.startswith("lab-direct_refusal-e1-s0-l0-")
    assert "++epochs=1" in (folder / "hydra" / "overrides.yaml").read_text()


@pytest.mark.parametrize("arguments", [["plan=true"], ["-m", "epochs=0,1", "plan=true"]], ids=" ".join)
def test_a_plan_is_a_table_that_makes_nothing(safetax: Safetax, arguments: list[str]) -> None:
    told = safetax(*arguments)
    assert told.code == 0
    assert told.out.splitlines()[0].split() == ["step", "fingerprint", "what", "it", "is", "state", "time"]
    assert re.search(r"\d+ runs?, \d+ steps: 0 cached, \d+ to run. Nothing was run.\n", told.out)
    assert "least differences found, in points" in told.out
    assert (told.err, told.launched, told.left) == ("", [], [])


def test_a_duration_beyond_all_bounds_is_told() -> None:
    assert clock(200) == "3 min 20 s"
    assert clock(1e300) == clock(float("inf")) == "over 30 years"


@pytest.mark.parametrize("shown", [["--cfg", "job", "-p", "model"], ["--cfg", "all", "--resolve", "-p", "hydra.run"]])
def test_a_part_of_the_configuration_is_shown(safetax: Safetax, shown: list[str]) -> None:
    told = safetax(*shown)
    assert told.code == 0 and told.out.startswith(f"# @package {shown[-1]}\n")


def test_a_slurm_that_does_not_answer_leaves_nothing(
    safetax: Safetax, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sbatch", "srun", "scancel", "squeue", "sinfo"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    told = safetax("hydra/launcher=slurm")
    assert (told.code, told.out, told.launched, told.left) == (2, "", [], [])
    assert told.err.startswith("Error: Slurm does not answer (squeue: Unable to contact slurm controller)")


def test_a_plan_is_quick_and_the_same_from_any_folder(tmp_path: Path) -> None:
    """It imports nothing heavy."""
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    first = in_process_of_its_own(places[0], "plan=true", python=["-X", "importtime"])
    second = in_process_of_its_own(places[1], "plan=true")
    assert first.returncode == second.returncode == 0, second.stderr
    assert first.stdout == second.stdout
    assert [list(place.iterdir()) for place in places] == [[], []]
    packages = imported(first.stderr)
    assert {"hydra", "safetax"} <= packages
    assert not packages & set(HEAVY)


@pytest.mark.parametrize("command", ["-m safetax", "bin/safetax"])
def test_modules_in_the_current_folder_are_found(tmp_path: Path, command: str) -> None:
    script = tmp_path / "bin" / "safetax"  # as pip writes it
    script.parent.mkdir()
    script.write_text("import sys\nfrom safetax.__main__ import main\nsys.exit(main())\n")
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "judge.py").write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Config:\n    kind: str\n"
        "def judge(config, examples, responses, context):\n    return []\n"
    )
    chosen = ["+judge.mine.kind=my_lab.judge", "plan=true"]
    ended = subprocess.run(
        [sys.executable, *command.split(), *chosen], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0 and "by mine" in ended.stdout, ended.stderr


def test_paths_are_shown_as_they_are(safetax: Safetax, tmp_path: Path) -> None:
    place = tmp_path / "[bold]x[/bold]" / ":smile:"
    console = standard_console()
    with console.capture() as captured:
        console.print(f"{place}")
    assert str(place) in captured.get().replace("\n", "")
    told = safetax(f"runtime.outputs='{tmp_path}/[red]:smile:'", "epochs=abc")
    assert told.code == 2


def test_importing_safetax_imports_nothing_heavy(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import safetax"], cwd=tmp_path, capture_output=True, text=True
    )
    packages = imported(ended.stderr)
    assert "safetax" in packages
    assert not packages & {*HEAVY, "hydra", "omegaconf", "rich"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dataset=se", {"dataset=self_generated"}),
        ("evaluation=lab", {"evaluation=lab", "evaluation=lab_no_thinking"}),
        ("lrm_s", {"lrm_seed="}),
        ("alignment.learning_", {"alignment.learning_rate="}),
        ("+experiment=lab_f", {"+experiment=lab_few_samples", "+experiment=lab_figure"}),
    ],
)
def test_the_shell_completes(safetax: Safetax, monkeypatch: pytest.MonkeyPatch, line: str, expected: set[str]) -> None:
    monkeypatch.setenv("COMP_LINE", f"safetax {line}")
    monkeypatch.setenv("COMP_POINT", str(len(f"safetax {line}")))
    told = safetax("--shell-completion", "query=bash")
    assert told.code == 0, told.err
    assert set(told.out.split()) == expected
    assert (told.launched, told.left) == ([], [])


def test_completion_is_installed_for_the_console_command(safetax: Safetax) -> None:
    told = safetax("--shell-completion", "install=bash")
    assert told.code == 0
    assert re.search(r"complete .* safetax$", told.out, re.MULTILINE)


def test_an_interrupt_says_how_to_go_on(safetax: Safetax, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Plan:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "plan", interrupted)
    told = safetax()
    assert told.code == 130
    assert told.err.startswith("Error: interrupted. Finished steps are kept")
