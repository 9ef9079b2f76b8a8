"""What is printed into README.md, CONTRIBUTING.md and docs/ from the code, between `<!-- printed: NAME -->` and
`<!-- end -->`: name -> what makes the text."""

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import click
import rooms
from markdown import cell, epilog, options, options_in, plain, prose, table

import pyrovae
from pyrovae import registry
from pyrovae.cli import _method, cli
from pyrovae.cli._glossary import TERMS
from pyrovae.config import from_signature
from pyrovae.data.catalogue import SOURCES
from pyrovae.data.options import DataConfig
from pyrovae.options import TrainConfig
from pyrovae.registry.names import GIVEN, Kind, files, find, first_line, of_its_name, parsed
from pyrovae.registry.variants import variant_options
from pyrovae.reproduction import recipes, results
from pyrovae.reproduction.figures import FIGURES, shown, spread

ROOT = Path(__file__).parents[1]

MARKED = re.compile(r"(<!-- printed: ([^\n]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """A page in which what is marked is as the code is."""
    return MARKED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", page)


def front_page() -> str:
    """README.md, with links from docs/index.md; files beside docs/ are named."""
    text = filled((ROOT / "README.md").read_text(encoding="utf-8")).replace("](docs/", "](")
    text = re.sub(r"<!-- (?:printed: .+|end) -->\n\n?|<!-- \S+ -->", "", text).strip()
    return re.sub(r"\[([^\]]+)\]\(([A-Z]+\.md|findings/README\.md)\)", r"\1 (`\2`)", text)


PAGE_OF = {
    "fit": "training",
    "compare": "comparing",
    "reproduce": "comparing",
    "loglik": "trust",
    "gap": "guides",
    "evaluate": "latents",
    "inspect": "training",
    "sample": "pictures",
    "reconstruct": "pictures",
    "interpolate": "pictures",
    "encode": "new-data",
    "selftest": "install",
    "check": "pairs",
    "runs": "training",
    "models": "training",
    "guides": "guides",
    "data": "data",
}
"""Command -> the page of the guide that tells of it."""


def table_of_commands() -> str:
    """A line each, with its page."""
    rows = [(f"[`{name}`](docs/guide/{PAGE_OF[name]}.md)", cell(about.line)) for name, about in cli.about().items()]
    return table(("`pyrovae`", "does"), rows)


def commands() -> str:
    """The help of each command; of `loglik` with the options of each estimator."""
    parts, section = [], ""
    root = click.Context(cli, **cli.context_settings)
    for name, about in cli.about().items():
        command = cli.get_command(root, name)
        assert command is not None and command.help is not None
        context = click.Context(command, info_name=name, parent=root)
        if about.section != section:
            section = about.section
            parts.append(f"## {section}")
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"### {name}", f"```\npyrovae {name} {usage}\n```", prose(command.help)]
        parts.append(options(click.Command.get_params(command, context), context))
        for method in map(_method.find, _method.names() if name == "loglik" else []):
            parts += [f"With `--method {method.name}`:", options_in(method.config)]
        if command.epilog:
            parts.append(epilog(command.epilog))
    return "\n\n".join(parts)


def kind(of: Kind) -> str:
    """What each file of a kind says of itself, and its options."""
    parts = []
    for name, path in files(of).items():
        if name not in registry.describe(of):
            continue
        made = of_its_name(find(of, name))
        first, _, rest = (ast.get_docstring(parsed(path)) or "").partition("\n")
        texts = [text for text in (rest.strip(), inspect.getdoc(made) or "") if text and text != first]
        build = made.build if of == "objectives" else made
        rows = [
            (f"`{key}`", cell(f"{info.description or ''} [default: {info.default}]"))
            for key, info in from_signature(build, leave_out=(*GIVEN[of], "self")).model_fields.items()
        ]
        parts += [f"### {name}", plain(first), *map(prose, texts)]
        if taken := getattr(made, "takes", ()):
            parts.append(f"Takes `{'`, `'.join(taken)}` of [training](options.md).")
        if rows:
            parts.append(table(("option", "what it says"), rows))
    return "\n\n".join(parts)


def glossary() -> str:
    """Terms, a line each."""
    return "\n".join(f"- **{term}**: {plain(line)}" for term, line in TERMS.items())


def models() -> str:
    """Models, a line each."""
    rows = [(f"[{name}]({name}.md)", cell(first_line(path))) for name, path in files("models").items()]
    return table(("`--model`", "p and q"), rows)


OBTAINED = """What `pyrovae reproduce RECIPE` obtained, mean and standard deviation over seeds where there are several,
and what is in print; budgets, data and protocol are in [the tables](../measured/results.md)."""


def model(name: str) -> str:
    """What the file of a model says, its options, and its rows of the tables."""
    own, training = variant_options(name)
    variant = registry.variant(name)
    families = "any of [the families](../reference/families.md#guides)"
    guide = f"Guide: `{variant.guide}`, or {families}." if variant.guide else "It brings its own guide."
    parts = [
        prose(ast.get_docstring(parsed(files("models")[name])) or ""),
        f"File: `models/{name}.py`. Data, where none are named: `{variant.data}`. {guide}",
        "## Options",
        options_in(own),
    ]
    usual = TrainConfig.model_fields
    rows = [
        (f"`--{key.replace('_', '-')}`", f"{info.default}", f"{usual[key].default}")
        for key, info in training.model_fields.items()
        if info.default != usual[key].default
    ]
    if rows:
        parts += ["## Training", "Defaults of its own:", table(("option", "here", "else"), rows)]
    if rows := results_of(name):
        parts += [
            "## Results",
            OBTAINED,
            table(("recipe", "what", "figure", "obtained", "published"), rows),
        ]
    return "\n\n".join(parts)


def results_of(model: str) -> list[tuple[str, ...]]:
    """The kept figures of the recipes of a model: of each the first that is in print."""
    rows = []
    for about in recipes.tables().values():
        for recipe in [each for name in about.rows for each in recipes.find(name)]:
            in_print = recipe.experiment.published
            figure = next((each for each in about.columns if each in in_print), about.columns[0])
            for budget, prefix in (("short", ""), ("full", "full budget: ")):
                of = results.of_budget(results.kept(recipe.name), budget)
                if of and recipe.settings["model"] == model:
                    what = cell(f"{about.title}: {prefix}{recipe.experiment.row}")
                    obtained = spread(figure, results.values(of, figure))
                    published = shown(figure, in_print.get(figure))
                    rows.append((f"`{recipe.name}`", what, FIGURES[figure].title, obtained, published))
    return rows


def data() -> str:
    """Data sets by name."""
    rows = [(f"`{name}`", source.kind, cell(source.summary)) for name, source in SOURCES.items()]
    return table(("`--data`", "kind", "what"), rows)


def python(*names: str) -> str:
    """Classes and functions, for mkdocstrings to set from their docstrings: public names of pyrovae, or of a room all
    that it hands on."""
    things = [getattr(pyrovae, name) for name in names]
    if inspect.ismodule(things[0]):
        things = [getattr(things[0], name) for name in things[0].__all__]
    return "\n\n".join(dict.fromkeys(f"::: {place}" for thing in things for place in places(thing)))


def places(thing: object) -> list[str]:
    """Where a class or a function is defined, and functions of other files that are methods of the class; of other
    things nothing."""
    if not inspect.isclass(thing) and not inspect.isfunction(thing):
        return []
    members = vars(thing).values() if inspect.isclass(thing) else []
    functions = [each for each in members if inspect.isfunction(each) and "." not in each.__qualname__]
    lent = [each for each in functions if each.__module__.startswith("pyrovae.")]
    return [f"{each.__module__}.{each.__name__}" for each in (thing, *lent)]


def room(name: str) -> str:
    """What the docstring of a package says of how to add to it."""
    return prose(importlib.import_module(f"pyrovae.{name}").__doc__ or "")


PARTS: dict[str, Callable[[], str]] = {
    "readme": front_page,
    "rooms": lambda: rooms.lines(ROOT),
    "tree": lambda: rooms.tree(ROOT),
    "table of commands": table_of_commands,
    "commands": commands,
    "options of training": lambda: options_in(TrainConfig),
    "options of data": lambda: options_in(DataConfig),
    "terms": glossary,
    "data": data,
    "models": models,
    **{f"model {name}": lambda name=name: model(name) for name in files("models")},
    **{of: lambda of=of: kind(of) for of in ("guides", "likelihoods", "priors", "objectives")},
    **{f"room {name}": lambda name=name: room(name) for name in ("models", *GIVEN)},
    **{
        f"python {names}": lambda names=names: python(*names.split(", "))
        for names in (
            "fit, load, compare, check, pictures, log_likelihood",
            "Run, LogLikelihood",
            "Pair, ELBO, Dataset, PyrovaeError, UsageError",
            "FitSettings, CompareSettings",
            *("data", "evaluation", "nets", "plots", "registry"),
        )
    },
}
