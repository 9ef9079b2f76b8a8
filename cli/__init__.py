"""The command line: one command a file, options and one library call each; nothing imports this package."""

if __name__ != "pyrovae.cli":
    raise ImportError(f"this package is imported as pyrovae.cli, not as {__name__}: write `import pyrovae.cli`")

import sys

import click

from pyrovae._version import __version__
from pyrovae.cli._group import LazyGroup, debug_option
from pyrovae.runtime.streams import forget, prepare


def _version(ctx: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """Prints what a report of a fault should name, from the packages' metadata: nothing is imported for it."""
    if not asked or ctx.resilient_parsing:
        return
    import platform
    from importlib.metadata import version

    others = "".join(f"{name} {version(package)}, " for name, package in (("torch", "torch"), ("pyro", "pyro-ppl")))
    click.echo(f"pyrovae {__version__}, {others}Python {platform.python_version()}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    package=__name__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show versions.")
@debug_option
def cli() -> None:
    """Variational autoencoders as Pyro model and guide pairs: train, score, compare."""


def main() -> None:
    """The console entry point."""
    prepare()
    try:
        cli(prog_name="pyrovae")
    finally:
        forget(sys.stderr)
