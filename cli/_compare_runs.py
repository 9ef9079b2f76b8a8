"""`pyrovae compare RUN RUN ...`: runs that are there already, in one table."""

from pathlib import Path

from pyrovae.cli._fits import require
from pyrovae.cli._output import print_json, print_note, print_table
from pyrovae.cli._runs import open_run
from pyrovae.config import Options
from pyrovae.errors import UsageError
from pyrovae.runs.inspection import require_run

TAKES = ("data", "score_samples", "score_limit", "device", "data_root")
"""Options of a fit that say what such a comparison does, too."""


def compare_runs(paths: tuple[Path, ...], settings: Options, trust: bool, quiet: bool, as_json: bool) -> None:
    """Scores the test data, or those of --data, by every run, and prints the differences from the first."""
    if foreign := [name for name in settings if name not in TAKES]:
        raise UsageError(f"--{foreign[0].replace('_', '-')} is of a fit, and these runs are fitted: leave it out")
    for path in paths:
        require_run(path, trust)
    require(None, [], settings.get("data"), settings)

    from pyrovae.comparison.beside import compare_runs
    from pyrovae.runtime.progress import notes_only, progress

    device, root = settings.get("device", "auto"), settings.get("data_root")
    runs = [open_run(path, device, trust, root) for path in paths]
    with notes_only() if quiet else progress() as show:
        found = compare_runs(
            runs, settings.get("score_samples", 200), settings.get("score_limit"), show=show, data=settings.get("data")
        )
    if as_json:
        return print_json([each.summary() for each in found])
    rows = []
    for each in found:
        summary, difference = each.summary(), each.difference
        apart = "" if difference is None else f"{difference['difference']:+.3f}"
        if difference is not None and difference["standard_error"] is not None:
            apart += f" +- {difference['standard_error']:.3f}"
        error = "" if summary["standard_error"] is None else f" +- {summary['standard_error']:.3f}"
        rows.append(
            (
                each.run,
                each.model,
                each.guide,
                f"{summary['elbo']:.3f}",
                f"{summary['rate']:.2f}",
                f"{summary['log_likelihood']:.3f}{error}",
                apart,
                f"{each.parameters:,}",
            )
        )
    titles = ("run", "model", "guide", "ELBO", "rate", "log-likelihood", "difference", "parameters")
    print_table(titles, rows, "nats a datum; differences of the log-likelihood from the first run, datum by datum")
    for each in found:
        if not each.likelihood.summary()["trusted"]:
            print_note(f"{each.run}: the log-likelihood {each.likelihood.summary()['verdict']}")
    return None
