"""Everything that a report holds, made from what was collected of the runs on disk."""

from __future__ import annotations

from pathlib import Path

from safetax.report.method_table import write_method_tables, write_refinement
from safetax.report.table_files import write_csv
from safetax.report.tables import write_tables
from safetax.results.collect import Collected, write_results
from safetax.results.provenance import COLUMNS


def build_report(collected: Collected, out: Path) -> Path:
    """Write results, tables, plots and page into the folder ``out`` and return the path of the page.

    What is there already is replaced; numbers are written before plots, and plots before the page, so that a failure
    leaves what came before it. Raises UserError where something that a run needs is missing.
    """
    results = collected.results
    write_results(collected, out)
    write_tables(results, out)
    write_method_tables(results, out)
    write_refinement(results, out)
    write_csv(out / "cost.csv", COLUMNS, ([row[name] for name in COLUMNS] for row in collected.provenance["training"]))

    from safetax.report.page import write_page
    from safetax.report.plots import draw_plots

    draw_plots(results, out / "figures")
    return write_page(collected, out / "figures", out / "report.html")


def write_run_results(collected: Collected) -> None:
    """Write the results of each run alone into its own folder: those of a sweep's runs, without reading them again."""
    for run in (*collected.runs, *collected.replaced):
        write_results(collected.alone(run), run.outputs / "runs" / run.name)
