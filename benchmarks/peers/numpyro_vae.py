"""The VAE in NumPyro: `SVI.update` under jit, and a lax.scan over many steps."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, Trace_ELBO
from torch import Tensor

from benchmarks.measure import Contestant
from benchmarks.setting import LR, Setting

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}
SCAN = 50
"""Steps of one scan."""


def programs(setting: Setting, mean: np.ndarray) -> tuple[Any, Any]:
    """Model and guide."""
    act = ACTIVATIONS[setting.activation]

    def linear(name: str, x: Any, n_in: int, n_out: int, bias: Any = None) -> Any:
        w = numpyro.param(f"{name}.w", lambda key: jax.nn.initializers.glorot_uniform()(key, (n_in, n_out)))
        b = numpyro.param(f"{name}.b", jnp.zeros(n_out) if bias is None else bias)
        return x @ w + b

    def mlp(name: str, x: Any, sizes: tuple[int, ...]) -> Any:
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            x = act(linear(f"{name}{i}", x, n_in, n_out))
        return x

    sizes, latent = (784, *setting.hidden), setting.latent_dim
    start = jnp.asarray(np.log(mean / (1 - mean)))

    def model(x: Any) -> None:
        with numpyro.plate("data", len(x)):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(latent), 1.0).to_event(1))
            h = mlp("decoder", z, (latent, *reversed(setting.hidden)))
            logits = linear("out", h, setting.hidden[0], 784, start)
            numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x: Any) -> None:
        h = mlp("encoder", x, sizes)
        loc, raw = linear("loc", h, sizes[-1], latent), linear("raw", h, sizes[-1], latent)
        with numpyro.plate("data", len(x)):
            numpyro.sample("z", dist.Normal(loc, jax.nn.softplus(raw + 0.5413)).to_event(1))

    return model, guide


def step(setting: Setting, pixels: Tensor, test: Tensor, how: Literal["jit", "scan"]) -> Contestant:
    """Gather, binarize, SVI.update; without clipping and guard, which NumPyro does not have in it."""
    flat = jnp.asarray(pixels.flatten(1).cpu().numpy())
    mean = np.clip(np.asarray(flat[:10_000], np.float32).mean(0) / 255, 1e-3, 1 - 1e-3)
    model, guide = programs(setting, mean)
    svi = SVI(model, guide, numpyro.optim.Adam(LR), Trace_ELBO())
    state = svi.init(jax.random.PRNGKey(0), jnp.zeros((setting.batch, 784)))

    def once(state: Any, rows: Any) -> Any:
        carried, key = state
        key, noise = jax.random.split(key)
        x = jax.random.bernoulli(noise, flat[rows] / 255.0).astype(jnp.float32)
        # The mean loss a datum would only scale the gradient, to which Adam is blind.
        carried, loss = svi.update(carried, x)
        return (carried, key), loss

    jitted = jax.jit(once)
    scanned = jax.jit(lambda state, rows: jax.lax.scan(once, state, rows))
    held = {"state": (state, jax.random.PRNGKey(1))}
    draw = np.random.default_rng(0)

    def run(repeats: int) -> None:
        order = draw.permutation(len(flat))[: repeats * setting.batch].reshape(repeats, setting.batch)
        if how == "jit":
            for rows in order:
                held["state"], loss = jitted(held["state"], rows)
        else:
            for rows in order.reshape(-1, SCAN, setting.batch):
                held["state"], loss = scanned(held["state"], rows)
        loss.block_until_ready()

    started = time.perf_counter()
    run(SCAN)

    def elbo() -> float:
        x = jnp.asarray(test.cpu().numpy())
        return -float(svi.evaluate(held["state"][0], x)) / len(x)

    return Contestant(f"NumPyro {how}", run, elbo, time.perf_counter() - started)
