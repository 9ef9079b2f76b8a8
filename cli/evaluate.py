"""`pyrovae evaluate`: all scores of a run."""

from typing import TYPE_CHECKING

import click

from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import likelihood_line, print_json, print_table
from pyrovae.cli._runs import limit_option, on_run, seed_option, split_option

if TYPE_CHECKING:
    from pyrovae.run import Run


@click.command(
    epilog="""\b
Examples:
  pyrovae evaluate runs/cvae-digits
  pyrovae evaluate runs/cvae-digits --split valid --samples 1000 --json"""
)
@split_option
@click.option(
    "--samples", type=click.IntRange(min=1), default=200, show_default=True, help="Importance samples a datum."
)
@limit_option
@seed_option
@json_option
@debug_option
@on_run
def command(run: "Run", split: str, samples: int, limit: int | None, seed: int, as_json: bool) -> None:
    """Score a run: ELBO, distortion, rate by site and dimension, active units, log-likelihood; nats a datum."""
    from pyrovae.progress import progress

    with progress() as show:
        scores = run.evaluate(samples, split, limit, seed, show)  # type: ignore[arg-type]
    if as_json:
        return print_json(scores)
    rows = [
        ("ELBO", f"{scores['elbo']:.3f} nats"),
        ("distortion", f"{scores['distortion']:.3f} nats, -log p(x|z)"),
        ("rate", f"{scores['rate']:.3f} nats, log q(z|x) - log p(z)"),
        ("log-likelihood", likelihood_line(scores)),
    ]
    if "perplexity" in scores:
        rows.append(("perplexity", f"{scores['perplexity']:.2f} ({scores['words']} words, <eos> counted)"))
    sites = scores["sites"]
    for name, rate in sites["rate"].items():
        active, units = sites["active_units"][name], sites["units"][name]
        rows.append((f"site {name}", f"rate {rate:.3f} nats, {active} of {units} units active"))
        by_dim = sites["rate_by_dim"][name]
        if by_dim is not None:
            rows.append(("  by dimension", " ".join(f"{value:.2f}" for value in sorted(by_dim, reverse=True))))
    return print_table(("", ""), rows)
