"""Score a run: ELBO, rate, distortion, active units, log-likelihood."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae.cli._arguments import RunFolder
from pyrovae.cli._glossary import explain_option
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import accuracy_line, likelihood_line, print_json, print_table, print_text
from pyrovae.cli._runs import (
    count,
    limit_option,
    max_memory_option,
    on_run,
    open_run,
    requires,
    seed_option,
    split_option,
)
from pyrovae.errors import UsageError
from pyrovae.runs.inspection import require_run
from pyrovae.storage.jsonable import JsonMapping

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Score"
PLACE = 3

OPENS = ("device", "trust", "data_root")
"""The options by which RUN is opened, and the baseline with it."""


def require(evenly: bool, limit: int | None, baseline: Path | None, trust: bool, **options: object) -> None:
    """Raises UsageError for options that do not go together, or a baseline that is no run."""
    if evenly and limit is None:
        raise UsageError("--evenly says which data --limit keeps, and there is no limit: give both or none")
    if baseline is not None:
        require_run(baseline, trust)


@click.command(
    epilog="""\b
Examples:
  pyrovae evaluate runs/cvae-digits --split valid --samples 1000 --json
  pyrovae evaluate runs/textvae-pydoc --baseline runs/without-z"""
)
@split_option
@click.option("--samples", type=count(), default=200, show_default=True, help="Importance samples a datum.")
@click.option(
    "--baseline",
    metavar="RUN",
    type=RunFolder(),
    help="Another run on the same data: the paired difference of the log-likelihoods, as of "
    "`fit --model textvae --no-z`.",
)
@limit_option
@click.option("--evenly", is_flag=True, help="Those of --limit are evenly spaced over the split, not its first.")
@seed_option
@max_memory_option
@json_option
@explain_option
@debug_option
@on_run
@requires(require)
@click.pass_context
def command(
    ctx: click.Context,
    run: "Run",
    split: str,
    samples: int,
    baseline: Path | None,
    limit: int | None,
    evenly: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Score a run: ELBO, distortion, rate, log-likelihood, what z carries and whether that is well; nats a datum."""
    from pyrovae.runtime.progress import progress

    with progress() as show:
        beside = None if baseline is None else open_run(baseline, *(ctx.params[name] for name in OPENS))
        if beside is not None:
            beside = beside.on(ctx.params["data"], ctx.params["split"] or "all")
        scores = run.evaluate(samples, split, limit, seed, show, beside, evenly).summary()  # type: ignore[arg-type]
    if as_json:
        return print_json(scores)
    rows = [
        *(("warning", f"no number of this table is to be trusted: {each}") for each in scores["broken"]),
        ("ELBO", f"{scores['elbo']:.3f} nats"),
        ("distortion", f"{scores['distortion']:.3f} nats, -log p(x|z)"),
        ("rate", f"{scores['rate']:.3f} nats, log q(z|x) - log p(z), by the draw of the ELBO"),
        ("log-likelihood", likelihood_line(scores)),
        ("", scores["verdict"]),
    ]
    if "accuracy" in scores:
        rows.append(("accuracy", accuracy_line(scores)))
    if "perplexity" in scores:
        rows.append(("perplexity", f"{scores['perplexity']:.2f} ({scores['words']} words, <eos> counted)"))
    sites = scores["sites"]
    for name, rate in sites["rate"].items():
        if name in sites["classes"]:
            carried = f"{sites['classes_used'][name]} of {sites['classes'][name]} classes used"
        else:
            carried = f"{sites['active_units'][name]} of {sites['units'][name]} units active"
        rows.append((f"site {name}", f"rate {rate:.3f} nats (in closed form where that is known), {carried}"))
        by_dim = sites["rate_by_dim"][name]
        if by_dim is not None:
            rows.append(("  by dimension", " ".join(f"{value:.2f}" for value in sorted(by_dim, reverse=True))))
    rows += latent_rows(scores["latents"], run.pair.inputs, scores["num_data"])
    print_table(("", ""), rows)
    if "baseline" in scores:
        print_text(scores["baseline"]["verdict"])
    return print_text(" ".join(scores["diagnosis"]))


def latent_rows(latents: JsonMapping, inputs: Sequence[str], scored: int) -> list[tuple[str, str]]:
    """What the latents carry, as rows of the table."""
    found, swap = latents["information"], latents["swap"]
    if found is None:
        return []
    data = inputs[0] if len(inputs) == 1 else f"({', '.join(inputs)})"
    some = "" if found["num_data"] == scored else f" of {scored} data"
    taken = f"cap log {found['num_data']} = {found['cap']:.2f}{some}, {found['draws']} draws of z"
    low, high = latents["marginal_kl_lower"], latents["marginal_kl"]
    least = "" if low is None else f"at least {low:.3f} and "
    between = f"I({data}; {', '.join(latents['aggregate'])})"
    error = f"{found['standard_error']:.2g}"
    rows = [("information", f"{found['nats']:.3f} nats, {between}, standard error {error} ({taken})")]
    if latents["conditional_prior"]:
        rows.append(("aggregate", "KL(q(z) || p(z)) is not defined: the prior depends on the condition"))
    else:
        rows.append(("aggregate", f"{least}at most {high:.3f} nats, KL(q(z) || p(z)) = rate - information"))
    far = "; ".join(latents["worst"])
    rows.append(("  moments", far or "in each dimension, mean and deviation are near those of the prior"))
    if swap is not None:
        error = f"{swap['standard_error']:.2g}"
        rows.append(("swapped z", f"{swap['nats']:.3f} nats less log p(x|z), standard error {error}"))
    return rows
