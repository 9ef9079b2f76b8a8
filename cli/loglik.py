"""Estimate the log-likelihood of held-out data, and say how far to trust it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyrovae.cli._estimates import annealed_rows, importance_rows, sandwich_rows
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_table
from pyrovae.cli._runs import (
    MOST,
    count,
    limit_option,
    max_memory_option,
    on_run,
    require_suffix,
    seed_option,
    split_option,
)
from pyrovae.errors import UsageError

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Score"
PLACE = 1

OF_IMPORTANCE = ("samples", "chunk", "proposal", "wider", "target_se", "max_samples", "worst")
OF_ANNEALING = ("steps", "chains", "leapfrog", "start")
"""Options of one method, None where they are not given: `pyrovae.evaluation` has the defaults."""


class Chunk(click.IntRange):
    """A number of samples, or `auto`, which is 0."""

    def __init__(self) -> None:
        super().__init__(min=1, max=MOST)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return 0 if value == "auto" else super().convert(value, param, ctx)


@click.command(
    epilog="""\b
Examples:
  pyrovae loglik runs/cvae-digits --target-se 0.05 --worst 16 --out worst.png
  pyrovae loglik runs/cvae-digits --limit 50 --method bdmc --steps 200"""
)
@split_option
@click.option(
    "--method",
    type=click.Choice(["is", "ais", "bdmc"]),
    default="is",
    show_default=True,
    help="Importance sampling; annealed importance sampling; bounds from both sides on data that the model simulates.",
)
@click.option("--samples", type=count(), help="is: K, samples a datum.  [default: 1000]")
@click.option(
    "--chunk", type=Chunk(), help="is: samples at once (the draws follow); auto: what fits the memory.  [default: auto]"
)
@click.option(
    "--proposal",
    type=click.Choice(["guide", "widened", "refit"]),
    help="is: what is drawn from: the guide, with a wider scale, or refitted for each datum.  [default: guide]",
)
@click.option("--wider", type=click.FloatRange(min=1, max=100), help="is: how many times the scale.  [default: 1.5]")
@click.option(
    "--target-se",
    type=click.FloatRange(min=0, min_open=True),
    help="is: take more samples until error and bias of the mean are at most this, nats.",
)
@click.option("--max-samples", type=count(2), help="is: and at most so many.  [default: 100000]")
@click.option("--steps", type=count(), help="ais, bdmc: temperatures.  [default: 1000]")
@click.option("--chains", type=count(), help="ais, bdmc: chains a datum.  [default: 16]")
@click.option("--leapfrog", type=count(), help="ais, bdmc: steps of an HMC move.  [default: 10]")
@click.option("--start", type=click.Choice(["prior", "guide"]), help="ais, bdmc: where chains begin.  [default: prior]")
@limit_option
@seed_option
@click.option(
    "--compile/--no-compile",
    default=None,
    help="Compile the estimate, or run eager Pyro [default: where it is won back].",
)
@click.option("--worst", type=count(), help="is: show so many of the data that are least to be trusted.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the values of each datum to this .npz, or pictures of the --worst to this .png.",
)
@max_memory_option
@json_option
@debug_option
@on_run
def command(
    run: "Run",
    split: str,
    method: str,
    limit: int | None,
    seed: int,
    compile: bool | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Estimate log p(x), or log p(x|y), of held-out data, and say how far to trust it; nats a datum."""
    given = {name: value for name, value in options.items() if value is not None}
    require_of(method, given)
    worst = given.pop("worst", None)
    if out is not None and out.suffix == ".png" and not worst:
        raise UsageError(f"--out {out}: a .png shows the data of --worst N: give both, or end the name in .npz")
    require_suffix(out, *((".npz", ".png") if worst else (".npz",)))
    pictures = out is not None and out.suffix == ".png"
    if pictures:
        from pyrovae.runs.pictures import require_image

        require_image(run)
    if given.get("chunk") == 0:
        del given["chunk"]

    from pyrovae.runtime.progress import progress
    from pyrovae.runtime.ranks import joined, world
    from pyrovae.storage.atomic import write_arrays

    with joined(), progress(False if (rank := world().rank) else None) as show:
        if world().size > 1 and method != "is":
            raise UsageError(f"--method {method} runs in one process: leave torchrun out")
        common: dict[str, Any] = {"split": split, "limit": limit, "seed": seed, "show": show, "compile": compile}
        verbs: Mapping[str, Callable[..., Any]] = {"is": run.log_likelihood, "ais": run.ais, "bdmc": run.bdmc}
        found = verbs[method](**given, **common)
    if rank:
        return None  # the first process speaks for all
    summary = found.summary()
    if worst is not None:
        summary["worst"] = found.worst(worst).tolist()
    if out is not None and pictures:
        from pyrovae.runs import pictures as gallery

        gallery.worst(run, out, found, summary["worst"], split)  # type: ignore[arg-type]
    elif out is not None:
        write_arrays(out, {name: getattr(found, name).numpy() for name in ARRAYS[method]})
    if as_json:
        return print_json(summary)
    print_table(("", ""), TABLES[method](summary))
    if worst is not None:
        columns = ("log_likelihood", "standard_error", "ess", "pareto_k")
        rows = [(row, *(float(getattr(found, name)[row]) for name in columns)) for row in summary["worst"]]
        print_table(("row", "log-likelihood", "standard error", "effective", "Pareto k"), rows, "least to be trusted")
    return None if out is None else click.echo(str(out))


ARRAYS = {
    "is": ("log_likelihood", "standard_error", "ess", "pareto_k", "smoothed", "drawn"),
    "ais": ("log_likelihood", "standard_error", "ess", "acceptance"),
    "bdmc": ("lower", "upper", "ess", "ess_reverse", "acceptance", "acceptance_reverse"),
}
"""What is written of each datum."""


def require_of(method: str, given: Mapping[str, Any]) -> None:
    """Raises UsageError for an option of another method."""
    foreign = [name for name in (OF_ANNEALING if method == "is" else OF_IMPORTANCE) if name in given]
    if foreign:
        others = "--method ais or bdmc" if method == "is" else "--method is"
        raise UsageError(f"--{foreign[0].replace('_', '-')} is an option of {others}: leave it out with {method}")
    for name, value, with_what in (("wider", "widened", "--proposal widened"), ("max_samples", None, "--target-se")):
        missing = given.get("proposal") != value if name == "wider" else "target_se" not in given
        if name in given and missing:
            raise UsageError(f"--{name.replace('_', '-')} has no effect without {with_what}: give both or none")


TABLES = {"is": importance_rows, "ais": annealed_rows, "bdmc": sandwich_rows}
