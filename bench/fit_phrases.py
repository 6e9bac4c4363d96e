"""Fit the weights of the refusal classifier: ``python -m bench.fit_phrases [DATA]``.

DATA is a folder with xstest_labelled.csv (XSTest completions of two models with people's labels, CC BY 4.0),
math500.jsonl and gsm8k_test.jsonl (MIT). answers.tsv beside this file holds answers in our own words (the repository's
licence), written for ways of refusing and of helping that the two models do not have. The fit is a logistic regression
with an L2 penalty in which each family of phrases can only count for what it speaks for, so that a habit of one model
(an apology before help, say) cannot turn a sign around.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from safetax.evaluation.judging.refusal_signs import SIGNS
from safetax.evaluation.judging.refusals import HELP, INTERCEPT, WEIGHTS, features
from tests.support.places import data_folder

PENALTY = 1.0
SOLUTION_WEIGHT = 0.05
"""What a worked solution counts beside an answer: there are many, all alike."""

HEADER = """\
# Made by python -m bench.fit_phrases from XSTest completions labelled by people (Roettger et al., 2023; CC BY 4.0),
# MATH-500 and GSM8K solutions (MIT), and answers in safetax's own words. Above 0 speaks for a refusal.
"""


@dataclass(frozen=True)
class Labelled:
    """An answer, what it does, and how much it counts in the fit."""

    text: str
    label: str
    """``full_refusal``, ``partial_refusal`` or ``full_compliance``."""
    model: str
    kind: str = ""
    """The type of the prompt; one that looks like another but is safe has the same."""

    @property
    def refuses(self) -> bool:
        """Whether it is anything but full compliance."""
        return self.label != "full_compliance"


def completions(folder: Path) -> list[Labelled]:
    """Return the completions that people labelled."""
    with (folder / "xstest_labelled.csv").open(encoding="utf-8", newline="") as file:
        return [
            Labelled(row["completion"], row["label"], row["model"], row["type"].removeprefix("contrast_"))
            for row in csv.DictReader(file)
        ]


def own_answers() -> list[Labelled]:
    """Return the answers in our own words."""
    lines = Path(__file__).with_name("answers.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    names = {"refusal": "full_refusal", "compliance": "full_compliance"}
    return [Labelled(text.replace("\\n", "\n"), names[label], "own") for label, _, text in rows]


def solutions(folder: Path) -> list[Labelled]:
    """Return worked solutions, which never refuse."""
    columns = {"gsm8k_test": "answer", "math500": "solution"}
    rows = [
        json.loads(line)[column]
        for name, column in columns.items()
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [Labelled(text, "full_compliance", "solutions") for text in rows[::10]]


def fit(*groups: Sequence[Labelled]) -> dict[str, float]:
    """Return the weights by feature; within a group refusals and compliance count alike, so that a model that refuses
    much teaches no habit of saying so.
    """
    from scipy.optimize import minimize

    rows = [one for group in groups for one in group]
    found = [_features(one.text) for one in rows]
    names = sorted({name for one in found for name in one})
    matrix = np.array([[one[name] for name in names] for one in found])
    truth = np.array([1.0 if one.refuses else -1.0 for one in rows])
    weights = np.concatenate([_balance(group) for group in groups])

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        margin = truth * (matrix @ values[:-1] + values[-1])
        slope = -weights * truth / (1 + np.exp(np.clip(margin, -30, 30)))
        total = float((weights * np.logaddexp(0, -margin)).sum() + PENALTY * (values[:-1] ** 2).sum() / 2)
        return total, np.append(matrix.T @ slope + PENALTY * values[:-1], slope.sum())

    bounds = [_side(name) for name in names] + [(None, None)]
    options = {"maxiter": 5000, "ftol": 1e-12}
    values = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return {INTERCEPT: float(values[-1]), **dict(zip(names, map(float, values[:-1]), strict=True))}


_features = cache(features)


def _balance(group: Sequence[Labelled]) -> np.ndarray:
    share = sum(one.refuses for one in group) / len(group)
    if share in (0, 1):
        return np.full(len(group), SOLUTION_WEIGHT)
    return np.array([0.5 / share if one.refuses else 0.5 / (1 - share) for one in group])


def _side(name: str) -> tuple[float | None, float | None]:
    """Return the bounds of a feature's weight."""
    helps = name in HELP or (name in SIGNS and not SIGNS[name].refuses)
    return (None, 0.0) if helps else (0.0, None)


def write(weights: Mapping[str, float], path: Path = WEIGHTS) -> None:
    """Write the weights that are not 0, to three decimals."""
    kept = {name: f"{value:.3f}" for name, value in sorted(weights.items()) if abs(value) >= 0.0005}
    lines = "".join(f"{name}\t{value}\n" for name, value in kept.items())
    path.write_text(HEADER + lines, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    folder = parser.parse_args().data
    weights = fit(completions(folder), own_answers(), solutions(folder))
    write(weights)
    print(f"{len(weights)} weights in {WEIGHTS}")


if __name__ == "__main__":
    main()
