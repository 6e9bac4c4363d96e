"""The lab as an instrument, against its bars: ``python -m bench.lab_bars OUTPUTS``.

OUTPUTS holds runs of several LRM seeds, such as those of ``make lab-figure SEEDS=20,21,22``. Prints for the last epoch
count of each data set what the seeds gave, and how wide the interval of the difference between any two data sets is.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from itertools import combinations
from pathlib import Path

from safetax.results.collect import collect
from safetax.results.document import Checkpoint
from safetax.results.metrics import ACCURACY, RETENTION_LOSS, SAFETY_TAX

REFERENCE = "direct_refusal"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outputs", type=Path)
    results = collect([parser.parse_args().outputs]).results
    lrms = [checkpoint.scores[ACCURACY].value for checkpoint in results.checkpoints if checkpoint.role == "lrm"]
    told("LRM's accuracy, lowest and highest", f"{min(lrms):.1f} to {max(lrms):.1f} %, n = {len(lrms)}", "80 to 97 %")
    last = max(checkpoint.epochs or 0 for checkpoint in results.checkpoints)
    sets: dict[str, dict[int, Checkpoint]] = defaultdict(dict)
    for each in results.checkpoints:
        if each.role == "aligned" and each.epochs == last:
            sets[each.name][each.lrm_seed] = each
    for name, seeds in sorted(sets.items()):
        for metric in (SAFETY_TAX, RETENTION_LOSS):
            if values := [each.scores[metric].value for each in seeds.values() if metric in each.scores]:
                sd = statistics.stdev(values) if len(values) > 1 else math.nan
                bar = "" if name != REFERENCE else "10 to 50, SD <= 8" if metric == SAFETY_TAX else "SD <= 15 % of it"
                text = f"{statistics.mean(values):.1f} ± {sd:.1f}, {min(values):.1f} to {max(values):.1f}"
                told(f"{name}, {last:g} epochs: {metric}", f"{text}, n = {len(values)}", bar)
    if REFERENCE in sets:
        found = [each.scores[SAFETY_TAX] for each in sets[REFERENCE].values()]
        clear = sum(score.low > 0 or score.high < 0 for score in found)
        told(f"{REFERENCE}: intervals of one run that exclude 0", f"{clear} of {len(found)}", ">= 9 of 10")
    for (first, ones), (second, others) in combinations(sorted(sets.items()), 2):
        for metric, bar in ((SAFETY_TAX, "<= 10"), (RETENTION_LOSS, "<= 4")):
            gaps = [
                ones[seed].scores[metric].value - others[seed].scores[metric].value
                for seed in ones.keys() & others.keys()
                if metric in ones[seed].scores and metric in others[seed].scores
            ]
            if len(gaps) > 1:
                wide = half_width(gaps)
                text = f"{statistics.mean(gaps):+.1f} ± {wide:.1f} (half-width of 95 %), n = {len(gaps)}"
                told(f"{first} - {second}: {metric}", text, bar)


def half_width(gaps: list[float]) -> float:
    """Return half the width of Student's 95 % interval of a mean."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(gaps) - 1)) * statistics.stdev(gaps) / math.sqrt(len(gaps))


def told(what: str, measured: str, bar: str) -> None:
    print(f"{what:<58} {measured:<48} {'bar ' + bar if bar else ''}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
