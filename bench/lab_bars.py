"""The lab as an instrument, against its bars: ``python -m bench.lab_bars OUTPUTS``.

OUTPUTS holds runs of several LRM seeds, such as those of ``make lab-figure SEEDS=20,21,22``. Prints for the last epoch
count of each method or data set what the seeds gave, how it differs from direct_refusal, and how wide the intervals of
differences between any two are.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from safetax.results.collect import collect
from safetax.results.document import Checkpoint
from safetax.results.metrics import ACCURACY, RETENTION_LOSS, SAFETY_TAX
from safetax.statistics import holm, mean_over_runs, p_value

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
            sets[each.method or each.name][each.lrm_seed] = each
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
    for metric, bar in ((SAFETY_TAX, 10), (RETENTION_LOSS, 4)):
        pairs = {
            (first, second): values
            for first, second in combinations(sorted(sets), 2)
            if len(values := gaps(sets[first], sets[second], metric)) > 1
        }
        compared({pair: values for pair, values in pairs.items() if REFERENCE in pair}, metric, bar)
        wide = {pair: half_width(values) for pair, values in pairs.items()}
        if wide:
            widest = max(wide, key=lambda pair: wide[pair])
            within = sum(each <= bar for each in wide.values())
            text = f"{within} of {len(wide)}, widest {wide[widest]:.1f} ({' - '.join(widest)})"
            told(f"all pairs, half-widths of {metric} within the bar", text, f"<= {bar}")


def gaps(ones: Mapping[int, Checkpoint], others: Mapping[int, Checkpoint], metric: str) -> list[float]:
    """Return the differences of a metric between two data sets, one for each LRM seed that both have."""
    return [
        ones[seed].scores[metric].value - others[seed].scores[metric].value
        for seed in sorted(ones.keys() & others.keys())
        if metric in ones[seed].scores and metric in others[seed].scores
    ]


def compared(pairs: Mapping[tuple[str, str], Sequence[float]], metric: str, bar: float) -> None:
    """Print each data set less the reference, in points, with the interval over LRM seeds and Holm's p-value."""
    found = []
    for (first, second), values in pairs.items():
        signed = [-each for each in values] if first == REFERENCE else list(values)
        mean = mean_over_runs(signed)
        if mean is not None:
            p = p_value(lambda confidence, signed=signed, mean=mean: mean_over_runs(signed, confidence) or mean)
            found.append((second if first == REFERENCE else first, mean, half_width(signed), p))
    if not found:
        return
    corrected = holm([p for *_, p in found])
    print(f"\n{metric}: each less {REFERENCE}, paired over LRM seeds; p by Holm's method over {len(found)}")
    print("| data | difference | 95 % interval | half-width | p |\n| --- | ---: | ---: | ---: | ---: |")
    for (name, mean, half, _), p in sorted(zip(found, corrected, strict=True), key=lambda each: each[0][1].value):
        ends = f"[{mean.low:.1f}, {mean.high:.1f}]"
        print(f"| {name} | {mean.value:+.1f} | {ends} | {half:.1f} | {'< 0.001' if p < 0.001 else f'{p:.3f}'} |")
    told(f"half-widths of {metric} against {REFERENCE}", f"widest {max(each[2] for each in found):.1f}", f"<= {bar}")


def half_width(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of a mean over LRM seeds; 0 where all agree."""
    found = mean_over_runs(values)
    return 0.0 if found is None else (found.high - found.low) / 2


def told(what: str, measured: str, bar: str) -> None:
    print(f"{what:<58} {measured:<48} {'bar ' + bar if bar else ''}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
