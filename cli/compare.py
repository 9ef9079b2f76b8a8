"""`pyrovae compare`: one model, several guides, one table."""

from pathlib import Path
from typing import Any

import click

from pyrovae import registry
from pyrovae.cli._options import Commas, ModelCommand, debug_option, json_option
from pyrovae.cli._output import print_json, print_table
from pyrovae.cli.fit import configs, next_free, refuse_foreign, settings_of
from pyrovae.errors import UsageError


@click.command(
    cls=ModelCommand,
    configs=configs,
    epilog="""\b
Examples:
  pyrovae compare --model vae --guides diagonal,full,iaf
  pyrovae compare --model vae --guides diagonal,iaf:steps=4 --seeds 0,1,2 --latent-dim 2""",
)
@click.option("--model", "-m", metavar="NAME", help="A variant (`pyrovae models`), or your own my_model.py:MyVAE.")
@click.option(
    "--guides", metavar="SPEC,...", help="Guide families (`pyrovae guides`), with options: diagonal,iaf:steps=4."
)
@click.option("--seeds", type=Commas(click.IntRange(min=0)), help="Seeds of the fits.  [default: 0]")
@click.option("--data", metavar="DATA", help="A data set (`pyrovae data`), or a path.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the comparison [default: runs/compare-MODEL-DATA]."
)
@click.option("--overwrite", is_flag=True, help="Replace the comparison that is in --out.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file with options of model, data and training as keys."
)
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
@debug_option
def command(
    model: str | None,
    guides: str | None,
    seeds: tuple[int, ...] | None,
    data: str | None,
    out: Path | None,
    overwrite: bool,
    config: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train one model with several guides and seeds, alike in all else; print a table, write compare.json and .png."""
    named = {"model": model, "guides": guides, "seeds": seeds, "data": data, "out": out}
    settings = settings_of(config, options | named)
    model, specs = settings.pop("model", None), settings.pop("guides", None)
    if model is None or specs is None:
        raise UsageError(
            "compare needs --model NAME and --guides diagonal,iaf,... (`pyrovae models`, `pyrovae guides`)"
        )
    if "seed" in settings:
        raise UsageError("compare takes --seeds 0,1,2, not --seed")
    variant = registry.variant(model)
    data = settings.pop("data", variant.data)
    specs = [spec.strip() for spec in specs.split(",")] if isinstance(specs, str) else specs
    specs = _list("guides", specs, str, '["diagonal", "iaf"]')
    numbers = _list("seeds", settings.pop("seeds", (0,)), int, "[0, 1]")
    out = Path(settings.pop("out", None) or next_free(f"compare-{model}", data))
    refuse_foreign(settings, variant)

    from pyrovae.comparison import FIGURES, compare

    found = compare(model, specs, numbers, data, out, overwrite, show=False if quiet else None, **settings)
    if as_json:
        return print_json({"out": str(out), **found.to_json()})
    titles = {"elbo": "ELBO", "log_likelihood": "log-likelihood", "active_units": "active units"}
    rows = [[row["guide"], *(cell(row[name], whole=name == "parameters") for name in FIGURES)] for row in found.table]
    print_table(
        ["guide", *(titles.get(name, name) for name in FIGURES)], rows, f"{model} on {data}, {len(numbers)} seeds"
    )
    return click.echo(f"{out / 'compare.json'}  {out / 'compare.png'}")


def _list(key: str, value: Any, item: type, example: str) -> list[Any]:
    """A list that may come from a TOML file; raises UsageError where it is none."""
    if not isinstance(value, list | tuple) or not all(type(each) is item for each in value):
        raise UsageError(f"{key} = {value!r}: write {key} = {example} in the config file")
    return list(value)


def cell(figure: dict[str, float | None], whole: bool = False) -> str:
    """`-20.33 +- 0.12`."""
    mean, deviation = figure["mean"], figure["deviation"]
    assert mean is not None
    text = f"{mean:,.0f}" if whole else f"{mean:.2f}"
    return text if deviation is None or whole else f"{text} +- {deviation:.2f}"
