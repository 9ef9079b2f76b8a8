"""Importance-sampled log-likelihood: `python -m benchmarks.loglik`."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.nn.functional import softplus

import pyrovae
from benchmarks.measure import Contestant, alternate, as_json, show, write
from benchmarks.peers import by_hand
from benchmarks.setting import WIDE, build, held_out_images, images, pixels
from pyrovae.evaluation.chunks import even
from pyrovae.lowering.products import OneDNN, faster
from pyrovae.pairs.pair import Pair

AT_ONCE = 1000
"""Samples of a piece in the hand-written loop and in the limit."""


def limit(samples: int, one_dnn: bool) -> Contestant:
    """The two matrix products of the decoder alone."""
    where = OneDNN() if one_dnn else nullcontext()
    size, hidden, latent = even(samples, AT_ONCE), WIDE.hidden[0], WIDE.latent_dim
    z, first, second = torch.randn(size, latent), torch.empty(size, hidden), torch.empty(size, 784)
    into, out = torch.randn(latent, hidden), torch.randn(hidden, 784)

    def run(data: int) -> None:
        with where, torch.no_grad():
            for _ in range(data * (samples // size)):
                torch.mm(z, into, out=first)
                torch.mm(first, out, out=second)

    return Contestant("matrix products alone" + (", oneDNN" if one_dnn else ""), run)


def by_hand_loop(net: by_hand.VAE, test: Tensor, samples: int) -> Contestant:
    """Eager PyTorch, one image after another, x . logits - sum softplus(logits)."""
    found: list[float] = []

    def one(x: Tensor) -> float:
        h = net.encoder(x)
        loc, scale = net.loc(h), softplus(net.raw(h) + 0.5413)
        pieces, size = [], even(samples, AT_ONCE)
        for start in range(0, samples, size):
            noise = torch.randn(min(size, samples - start), len(loc))
            z = loc + scale * noise
            logits = net.out(net.decoder(z))
            log_p = logits @ x - softplus(logits).sum(-1) - 0.5 * z.square().sum(-1)
            pieces.append(log_p + 0.5 * noise.square().sum(-1) + scale.log().sum())
        return (torch.cat(pieces).double().logsumexp(0) - math.log(samples)).item()

    def run(data: int) -> None:
        with torch.no_grad():
            found[:] = [one(x) for x in test[:data]]

    return Contestant("PyTorch by hand, eager", run, lambda: sum(found) / len(found))


def pythae(net: by_hand.VAE, test: Tensor, samples: int, batch: int) -> Contestant:
    """`get_nll`, which gives the mean log-likelihood."""
    from benchmarks.peers import pythae_vae

    pair, found = pythae_vae.model(WIDE, net), [0.0]

    def run(data: int) -> None:
        found[0] = pythae_vae.log_likelihood(pair, test[:data], samples, batch)

    return Contestant(f"pythae get_nll, batch {batch}", run, lambda: found[0])


def ours(pair: Pair, test: Tensor, samples: int, compile: bool) -> Contestant:
    """`pyrovae.log_likelihood`; compilation is counted apart."""
    found: list[pyrovae.LogLikelihood] = []

    def run(data: int) -> float:
        x = test[:data].view(-1, 1, 28, 28)
        found[:] = [pyrovae.log_likelihood(pair, [x], samples, compile=compile)]
        return found[0].seconds - found[0].lowering_seconds

    run(10)
    setup = found[0].lowering_seconds if compile else None
    name = "pyrovae compiled" if compile else "pyrovae eager"
    return Contestant(name, run, lambda: found[0].log_likelihood.mean().item(), setup)


def same(pair: Pair, net: by_hand.VAE) -> None:
    """The weights of the pair in the hand-written network."""
    theirs, ours = [*net.parameters()], [*pair.guide.parameters(), *pair.model.parameters()]
    with torch.no_grad():
        for a, b in zip(theirs, ours, strict=True):
            a.copy_(b)


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), help="Folder of MNIST; else images made up.")
@click.option("--samples", default=5000, show_default=True, help="K.")
@click.option("--data", default=50, show_default=True, help="Images of a block.")
@click.option("--blocks", default=5, show_default=True)
@click.option("--peers/--no-peers", default=True, show_default=True, help="pythae beside the rest.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(data_root: Path | None, samples: int, data: int, blocks: int, peers: bool, out: Path | None) -> None:
    """Time the log-likelihood of an image under 784-400-20 after an epoch of training, by turns in one run."""
    dataset = images(data_root)
    test, pair = held_out_images(dataset), build(WIDE, dataset)
    options: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 128,
        "score_limit": 1,
        "score_samples": 1,
        "show": False,
        "device": "cpu",
    }
    pyrovae.fit(pair, data=dataset, **options)
    net = by_hand.start(WIDE, pixels(dataset))
    same(pair, net)
    contestants = [
        *(limit(samples, one_dnn) for one_dnn in ((False, True) if faster() else (False,))),
        by_hand_loop(net, test, samples),
        *((pythae(net, test, samples, batch) for batch in (100, 1000)) if peers else ()),
        *(ours(pair, test, samples, mode) for mode in (False, True)),
    ]
    rows = alternate(contestants, blocks, data)
    show(f"an image, {WIDE}, K = {samples}", rows, "matrix products alone", "log-likelihood")
    write(out, {"command": "loglik", "samples": samples, "rows": as_json(rows)})


if __name__ == "__main__":
    main()
