"""--explain: the terms of what was printed, a line each. Needs no torch."""

import re

import click

TERMS = {
    "nats": "units of log-probability by the natural logarithm; a nat is 1.44 bits",
    "ELBO": "evidence lower bound, E_q[log p(x, z) - log q(z | x)], at most log p(x); it is -(rate + distortion)",
    "rate": "KL(q(z | x) || p(z)), nats that z tells of a datum; near 0 the model does not use z",
    "distortion": "E_q[-log p(x | z)], nats that are left to tell of a datum once z is known",
    "log-likelihood": "log p(x), of which importance sampling gives a lower bound that more samples raise",
    "standard error": "of the noise of the samples: two thirds of repetitions lie within it; not of the choice of data",
    "Pareto k": "index of the tail of the importance weights: from 0.7 on few decide, from 1 on they have no mean",
    "effective samples": "so many independent samples of the posterior would tell as much as these weights do",
    "smoothed (PSIS)": "the largest weights replaced by the quantiles of a Pareto tail (Vehtari et al. 2024)",
    "held-out": "of the validation split, by which the best epoch is chosen",
    "baseline": "log p(x) of a model without z whose columns are independent, in closed form: a model should be better",
    "active": "units of z whose posterior mean varies over the data by more than 0.01 (Burda et al. 2016)",
    "information": "I(x; z), nats that z and a datum share over these data; at most log of their number",
    "aggregate": "q(z), the mean of q(z | x) over the data; where it is far from p(z), samples of the model look odd",
    "approximation": "what the family of the guide loses even where it is fitted to each datum (Cremer et al. 2018)",
    "amortization": "what one encoder for all data loses beside that (Cremer et al. 2018)",
    "accuracy": "share of the data whose most probable class by q(y | x) is the true one",
    "perplexity": "exp of the nats a word: a model as unsure as among so many equally likely words",
}
"""What a term means, in a line; in the order in which they are explained."""

KEY = "pyrovae.explain"


def _asked(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        texts: list[str] = []
        ctx.meta[KEY] = texts
        ctx.call_on_close(lambda: _print(texts))


explain_option = click.option(
    "--explain", is_flag=True, expose_value=False, callback=_asked, help="Explain the terms of what is printed."
)


def remember(text: str) -> None:
    """Takes note of what a command has printed, where its terms are to be explained."""
    context = click.get_current_context(silent=True)
    if context is not None and KEY in context.meta:
        context.meta[KEY].append(text)


def explained(text: str) -> list[str]:
    """A line for each term of a text."""
    return [f"{term}: {line}" for term, line in TERMS.items() if re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text)]


def _print(texts: list[str]) -> None:
    if lines := explained("\n".join(texts)):
        click.echo("\n" + "\n".join(lines))
