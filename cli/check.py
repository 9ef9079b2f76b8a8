"""Check that a model and its guide obey the contract."""

import click

from pyrovae import registry
from pyrovae.cli._arguments import Data, Names
from pyrovae.cli._fits import require
from pyrovae.cli._model_command import ModelCommand
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_note, print_table
from pyrovae.config import Config
from pyrovae.data.options import DataConfig
from pyrovae.errors import UsageError

SECTION = "Check"
PLACE = 2


class CheckCommand(ModelCommand):
    """The model is the argument here, so that is where its options come from."""

    def named(self, ctx: click.Context, args: list[str]) -> str | None:
        """The first word."""
        name = next((arg for arg in args if not arg.startswith("-")), None)
        before = set() if name is None else set(args[: args.index(name)])
        if before - {"--json", "--debug", "--help", "-h"}:
            raise UsageError("the name comes first, then the options: pyrovae check NAME --data DATA")
        return name


def configs(model: str | None) -> dict[str, type[Config]]:
    """The options of check: those of the model and of the data."""
    own = {} if model is None else {f"Options of {model}": registry.variant_options(model)[0]}
    return {**own, "Data": DataConfig}


@click.command(
    cls=CheckCommand,
    configs=configs,
    epilog="""\b
Examples:
  pyrovae check my_model.py:MyVAE --data my_data.npz
  pyrovae check cvae --guide iaf --condition quadrants

The name comes first, then the options.""",
)
@click.argument("model", metavar="NAME", type=Names("models"))
@click.option("--guide", metavar="SPEC", type=Names("guides"), help="A guide family (`pyrovae guides`).")
@click.option("--data", metavar="DATA", type=Data(), help="Data to try it on: a data set (`pyrovae data`), or a path.")
@json_option
@debug_option
def command(model: str, guide: str | None, data: str | None, as_json: bool, **options: object) -> None:
    """Try the laws on a pair: sites, shapes, gradients, particles, Pyro's own ELBO, saving. Exits with 1 if one fails.

    NAME is a model (`pyrovae models`) or your own my_model.py:MyVAE.
    """
    given = {key: value for key, value in options.items() if value is not None}
    require(model, [] if guide is None else [guide], data, given)

    from pyrovae.data.catalogue import load
    from pyrovae.pairs.pair import Pair
    from pyrovae.runs.data import options_for
    from pyrovae.runs.recipe import Recipe
    from pyrovae.testing import check, sites_table

    variant = registry.variant(model)
    if data is None and variant.own:
        print_note(f"note: no --data is given, so {model} is tried on {variant.data}")
    recipe = Recipe.of(variant, guide, data or variant.data, given)
    dataset = variant.prepare(recipe.options, load(data or variant.data, options_for(recipe, variant)))

    def make() -> Pair:
        return recipe.build(variant, dataset.named_fields())

    pair = make()
    dataset.require(pair.inputs)
    batch = dataset.split("test", pair.inputs, limit=13)
    laws = check(make, batch, dataset.fields)
    broken = [law for law in laws if law.passed is False]
    rows = [] if laws[0].passed is False else sites_table(pair, batch)
    if as_json:
        print_json(
            {
                "model": model,
                "passed": not broken,
                "laws": [{"name": law.name, "passed": law.passed, "detail": law.detail} for law in laws],
                "sites": [row._asdict() for row in rows],
            }
        )
    else:
        if rows:
            print_table(("site", "kind", "plate", "batch", "event", "p", "q"), rows)
            click.echo()
        words = {True: "holds", False: "BROKEN", None: "-"}
        print_table(("law", "", ""), [(law.name, words[law.passed], law.detail) for law in laws])
        click.echo(f"\n{sum(law.passed is True for law in laws)} laws hold, {len(broken)} broken")
    if broken:
        raise click.exceptions.Exit(1)
