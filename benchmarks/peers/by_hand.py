"""The VAE in plain PyTorch."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from benchmarks.measure import Contestant
from benchmarks.setting import CLIP, LR, Setting
from pyrovae.lowering.products import OneDNN, faster

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class VAE(nn.Module):
    """784 -> hidden -> z -> hidden -> 784 logits; the loss is the negative ELBO of one draw, summed."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        sizes = (784, *setting.hidden)
        self.encoder = self._mlp(sizes, setting)
        self.loc = self._linear(sizes[-1], setting.latent_dim)
        self.raw = self._linear(sizes[-1], setting.latent_dim)
        self.decoder = self._mlp((setting.latent_dim, *reversed(setting.hidden)), setting)
        self.out = self._linear(setting.hidden[0], 784)

    def forward(self, x: Tensor) -> Tensor:
        h = self.encoder(x)
        loc, scale = self.loc(h), softplus(self.raw(h) + 0.5413)
        noise = torch.randn_like(loc)
        z = loc + scale * noise
        rate = (0.5 * (z * z - noise * noise) - scale.log()).sum()
        loss: Tensor = rate + binary_cross_entropy_with_logits(self.out(self.decoder(z)), x, reduction="sum")
        return loss

    def _mlp(self, sizes: tuple[int, ...], setting: Setting) -> nn.Sequential:
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [self._linear(n_in, n_out), ACTIVATIONS[setting.activation]()]
        return nn.Sequential(*layers)

    @staticmethod
    def _linear(n_in: int, n_out: int) -> nn.Linear:
        layer = nn.Linear(n_in, n_out)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer


def start(setting: Setting, pixels: Tensor) -> VAE:
    """A network whose output starts at the mean of the data, as in pyrovae."""
    torch.manual_seed(0)
    net = VAE(setting)
    with torch.no_grad():
        net.out.bias.copy_(torch.logit(pixels[:10_000].float().mean(0).flatten() / 255, eps=1e-3))
    return net.to(pixels.device)


def step(setting: Setting, pixels: Tensor, test: Tensor, compiled: str | None = None) -> Contestant:
    """Gather, binarize, loss, gradients, clip, guard, fused Adam.

    `compiled` is None (eager), `loss` (all but the optimizer) or `whole`.
    """
    net, flat = start(setting, pixels), pixels.flatten(1)
    parameters = list(net.parameters())
    optimizer = torch.optim.Adam(
        parameters, lr=LR, fused=compiled != "whole", capturable=compiled == "whole" and flat.is_cuda
    )
    one = torch.ones((), device=flat.device)

    def grads() -> list[Tensor]:
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def gradients(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = torch.bernoulli(flat[rows].float() / 255)
        loss = net(x) / len(x)
        loss.backward()
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads())))
        return loss.detach(), (norm / CLIP).clamp_min(1.0), (~norm.isfinite()).float()

    def whole(rows: Tensor) -> Tensor:
        loss, scale, bad = gradients(rows)
        # Scaled by 0, a step of Adam is no step but for its moments: the usual guard inside a graph.
        torch._foreach_mul_(grads(), (one - bad) / scale)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    if compiled == "loss":
        gradients = torch.compile(gradients)

    def outside(rows: Tensor) -> Tensor:
        loss, scale, bad = gradients(rows)
        optimizer.grad_scale, optimizer.found_inf = scale, bad  # type: ignore[attr-defined]
        optimizer.step()
        optimizer.zero_grad()
        return loss

    once = torch.compile(whole) if compiled == "whole" else outside
    order = Rows(len(flat), setting.batch, flat.device)

    def run(repeats: int) -> None:
        for _ in range(repeats):
            loss = once(order())
        loss.item()

    started = time.perf_counter()
    run(3)
    names = {None: "PyTorch eager", "loss": "PyTorch compiled, Adam outside", "whole": "PyTorch compiled whole"}
    return Contestant(names[compiled], run, lambda: elbo(net, test), time.perf_counter() - started)


class Rows:
    """Row numbers of one batch after another, shuffled anew at every pass."""

    def __init__(self, n: int, batch: int, device: torch.device) -> None:
        self.n, self.batch, self.device = n, batch, device
        self.left: list[Tensor] = []

    def __call__(self) -> Tensor:
        if not self.left:
            order = torch.randperm(self.n, device=self.device)
            self.left = list(order[: self.n // self.batch * self.batch].split(self.batch))
        return self.left.pop()


def elbo(net: VAE, test: Tensor) -> float:
    """Nats a datum on the test images."""
    with torch.no_grad():
        nats: float = -net(test.to(net.out.bias.device)).item() / len(test)
        return nats


def products(setting: Setting, device: torch.device | str = "cpu", one_dnn: bool = False) -> Contestant:
    """The limit: the matrix products of one step alone, without elementwise work, noise or optimizer; by torch's own
    choice (MKL on a CPU), or by oneDNN."""
    where = OneDNN() if one_dnn else nullcontext()
    sizes = (784, *setting.hidden, 2 * setting.latent_dim), (setting.latent_dim, *reversed(setting.hidden), 784)
    layers = [(a, b) for part in sizes for a, b in pairwise(part)]
    x = {n: torch.randn(setting.batch, n, device=device) for pair in layers for n in pair}
    weights = [torch.randn(b, a, device=device) / math.sqrt(a) for a, b in layers]
    forward = [torch.empty(setting.batch, b, device=device) for _, b in layers]
    back = [torch.empty(setting.batch, a, device=device) for a, _ in layers]
    grads = [torch.empty_like(weight) for weight in weights]

    def run(repeats: int) -> None:
        with where:
            for _ in range(repeats):
                for i, (a, b) in enumerate(layers):
                    torch.mm(x[a], weights[i].T, out=forward[i])
                    torch.mm(x[b].T, x[a], out=grads[i])
                    if i:  # nobody asks for the gradient of the data
                        torch.mm(x[b], weights[i], out=back[i])
        grads[0].sum().item()

    return Contestant("matrix products alone" + (", oneDNN" if one_dnn else ""), run)


def limits(setting: Setting, device: torch.device | str = "cpu") -> list[Contestant]:
    """`products` by torch's own choice, and by oneDNN where pyrovae may take it."""
    there = torch.device(device).type == "cpu" and faster()
    return [products(setting, device, one_dnn) for one_dnn in ((False, True) if there else (False,))]
