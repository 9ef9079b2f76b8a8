"""Docstrings, help and options as Markdown."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

import click

from pyrovae.cli._options import options_of
from pyrovae.config import Config


def plain(text: str) -> str:
    """A text in Markdown in which nothing but code in backticks has a meaning."""
    parts = text.split("`")
    marks = r"(\*(?=\S)|(?<!\w)_(?=\w)|\](?= ?[\[(]))"
    parts[::2] = [re.sub(marks, r"\\\1", part).replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def cell(text: str) -> str:
    """The same in a table."""
    return plain(" ".join(text.split())).replace("|", "\\|")


def prose(docstring: str) -> str:
    """A docstring: what is set in is a block of its own."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    return "\n\n".join(
        f"```\n{textwrap.dedent(each)}\n```" if each.startswith("    ") else plain(each) for each in paragraphs
    )


def epilog(text: str) -> str:
    """What stands below the options of a command: examples, and what is said beside them."""
    made = []
    for each in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = each.replace("\b\n", "").strip("\n").splitlines()
        examples = lines[0].rstrip() == "Examples:"
        made.append("```\n" + textwrap.dedent("\n".join(lines[1:])) + "\n```" if examples else plain("\n".join(lines)))
    return "\n\n".join(made)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def options(params: Iterable[click.Parameter], context: click.Context) -> str:
    """A table of the options among parameters, with their help."""
    records = [param.get_help_record(context) for param in params if isinstance(param, click.Option)]
    rows = [(f"`{chosen(names)}`", cell(text)) for names, text in filter(None, records)]
    return table(("option", "what it says"), rows)


def options_in(config: type[Config]) -> str:
    """The same of the options that a Config becomes."""
    made = options_of(config)
    return options(made, click.Context(click.Command("any", params=list(made))))


def chosen(names: str) -> str:
    """`--net [mlp|conv]` as `--net {mlp,conv}`: a stroke would end the cell of a table."""
    several = r"\[?([^\s\[\]|]+(?:\|[^\s\[\]|]+)+)\]?"
    return re.sub(several, lambda found: "{" + found[1].replace("|", ",") + "}", names)
