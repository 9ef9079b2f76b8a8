"""Try training and every estimator on this machine against closed forms."""

import click

from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_table
from pyrovae.cli._runs import device_option

SECTION = "Check"
PLACE = 1


@click.command(
    epilog="""\b
Examples:
  pyrovae selftest
  pyrovae selftest --device cpu --json"""
)
@device_option
@json_option
@debug_option
def command(device: str, as_json: bool) -> None:
    """Try training and every estimator on a model of which all is known in closed form; less than a minute."""
    from pyrovae.testing.selftest import selftest

    checks = selftest(device)
    failed = sum(not check.passed for check in checks)
    if as_json:
        names = ("name", "found", "wanted", "allowed", "passed")
        print_json({"passed": not failed, "checks": [{name: getattr(c, name) for name in names} for c in checks]})
    else:
        rows = [
            (c.name, f"{c.found:.4f}", f"{c.wanted:.4f}", f"{c.allowed:.4f}", "pass" if c.passed else "FAIL")
            for c in checks
        ]
        print_table(("", "found", "wanted", "may be off by", ""), rows, "linear-Gaussian pair, nats a datum")
        click.echo(f"{failed} of {len(checks)} checks failed" if failed else f"all {len(checks)} checks passed")
    if failed:
        raise click.exceptions.Exit(1)
