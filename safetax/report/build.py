"""Everything that a report holds, made from run records and manifests on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetax.report.method_table import write_method_tables
from safetax.report.tables import write_tables
from safetax.results.collect import collect, write_results
from safetax.results.costs import write_costs
from safetax.results.refinement import write_refinement


def build_report(directories: Sequence[Path], out: Path) -> Path:
    """Write results, tables, plots and page into the folder ``out`` and return the path of the page.

    ``directories`` are outputs folders, run folders or sweep folders. What is there already is replaced; numbers are
    written before plots, and plots before the page, so that a failure leaves what came before it. Raises UserError
    where there is no run, or where a step that a run needs is missing.
    """
    directories = [Path(directory) for directory in directories]
    results = collect(directories)
    write_results(results, out)
    write_tables(results.document, out)
    write_method_tables(results.document, out)
    write_refinement(results.document, out)
    write_costs(results.provenance["training"], out)

    from safetax.report.page import write_page
    from safetax.report.plots import draw_plots

    draw_plots(results.document, out / "figures")
    return write_page(results.document, directories, out / "figures", out / "report.html")
