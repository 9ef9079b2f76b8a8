"""Estimate the log-likelihood of held-out data, and say how far to trust it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae.cli import _method
from pyrovae.cli._arguments import Output
from pyrovae.cli._estimates import beside
from pyrovae.cli._glossary import explain_option
from pyrovae.cli._method_command import MethodCommand
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_table
from pyrovae.cli._runs import (
    limit_option,
    max_memory_option,
    on_run,
    requires,
    seed_option,
    split_option,
    write_rows,
)
from pyrovae.config import Config, parse
from pyrovae.errors import UsageError
from pyrovae.storage.tables import SUFFIXES

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Score"
PLACE = 1

SHARED = ("split", "limit", "seed", "compile", "as_json", "trust")
"""Options that every estimator takes."""


def chosen(method: str, out: Path | None, **options: object) -> tuple[_method.Method, Config]:
    """The estimator with its options; raises UsageError where these do not fit, or --out does not go with them."""
    estimator = _method.find(method)
    given = {name: value for name, value in options.items() if value is not None and name not in SHARED}
    made = parse(estimator.config, given, f"--method {method}")
    estimator.require(made)
    if out is not None and out.suffix == ".png" and not given.get("worst"):
        raise UsageError(f"--out {out}: a .png shows the data of --worst N: give both, or end the name in .csv")
    return estimator, made


@click.command(
    cls=MethodCommand,
    epilog="""\b
Examples:
  pyrovae loglik runs/cvae-digits --target-se 0.05 --worst 16 --out worst.png
  pyrovae loglik runs/cvae-digits --limit 50 --method bdmc --steps 200

`pyrovae loglik RUN --method NAME --help` lists the options of that method.""",
)
@split_option
@click.option(
    "--method",
    type=click.Choice(_method.names()),
    default=_method.DEFAULT,
    show_default=True,
    help=" ".join(f"{name}: {line}" for name, line in _method.describe().items()),
)
@limit_option
@seed_option
@click.option(
    "--compile/--no-compile",
    default=None,
    help="Compile the estimate, or run eager Pyro [default: where it is won back].",
)
@click.option(
    "--out",
    type=Output(*SUFFIXES, ".png"),
    help="Write the values of each datum to this .csv, .npz or .parquet, or pictures of the --worst to this .png.",
)
@max_memory_option
@json_option
@explain_option
@debug_option
@on_run
@requires(chosen)
def command(
    run: "Run",
    split: str,
    method: str,
    limit: int | None,
    seed: int,
    compile: bool | None,
    out: Path | None,
    as_json: bool,
    **options: object,
) -> None:
    """Estimate log p(x), or log p(x|y), of held-out data, and say how far to trust it; nats a datum."""
    estimator, settings = chosen(method, out, **options)
    worst = getattr(settings, "worst", None)
    pictures = out is not None and out.suffix == ".png"
    if pictures:
        from pyrovae.runs.pictures import require_image

        require_image(run)

    from pyrovae.runtime.progress import progress
    from pyrovae.runtime.ranks import joined, world

    with joined(), progress(False if (rank := world().rank) else None) as show:
        if world().size > 1 and not estimator.processes:
            raise UsageError(f"--method {method} runs in one process: leave torchrun out")
        common = _method.Common(split=split, limit=limit, seed=seed, show=show, compile=compile)
        found = estimator.estimate(run, settings, common)
    if rank:
        return None  # the first process speaks for all
    summary = found.summary()
    if worst is not None:
        summary["worst"] = found.worst(worst).tolist()
    if out is not None and pictures:
        from pyrovae.runs import pictures as gallery

        gallery.worst(run, out, found, summary["worst"], split)  # type: ignore[arg-type]
    elif out is not None:
        arrays = {name: getattr(found, name).numpy() for name in estimator.arrays}
        write_rows(run, out, arrays, split, limit, beside=beside(summary))
    if as_json:
        return print_json(summary)
    print_table(("", ""), estimator.rows(summary))
    if worst is not None:
        columns = ("log_likelihood", "standard_error", "ess", "pareto_k")
        index = run.index(split, limit)  # type: ignore[arg-type]
        called = index.get("name", index["row"])
        rows = [(called[row], *(float(getattr(found, name)[row]) for name in columns)) for row in summary["worst"]]
        print_table(("row", "log-likelihood", "standard error", "effective", "Pareto k"), rows, "least to be trusted")
    return None if out is None else click.echo(str(out))
