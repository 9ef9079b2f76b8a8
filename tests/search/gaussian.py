"""Linear Gaussian pairs: correlated posteriors, one datum that the guide misses, chains of latents, flows as guides."""

import dataclasses

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae import Pair, registry
from pyrovae.pairs.traces import log_weights

from .case import Case, Program, drawn, normal, pair_of, reaches, rounded


@dataclasses.dataclass(frozen=True)
class Joint:
    """A Gaussian of z and x together: mean (Z + X,) and covariance, in double precision."""

    mean: Tensor
    covariance: Tensor
    Z: int

    def of_x(self) -> dist.MultivariateNormal:
        """p(x)."""
        return dist.MultivariateNormal(self.mean[self.Z :], self.covariance[self.Z :, self.Z :])

    def gain(self) -> Tensor:
        """(Z, X): E[z | x] = E[z] + gain (x - E[x])."""
        z, x = slice(self.Z), slice(self.Z, None)
        return torch.linalg.solve(self.covariance[x, x], self.covariance[x, z]).T

    def posterior(self, x: Tensor) -> dist.MultivariateNormal:
        """p(z | x), the same covariance for all x."""
        gain, z = self.gain(), slice(self.Z)
        covariance = self.covariance[z, z] - gain @ self.covariance[self.Z :, z]
        mean = self.mean[z] + (x - self.mean[self.Z :]) @ gain.T
        return dist.MultivariateNormal(mean, (covariance + covariance.T) / 2)


def linear(m: Tensor, s: Tensor, W: Tensor, b: Tensor, noise: Tensor) -> Joint:
    """z ~ N(m, diag s^2), x ~ N(W z + b, noise^2 I)."""
    prior = s.square().diag_embed()
    with_x, Z = prior @ W.T, len(m)
    eye = torch.eye(len(b), dtype=torch.float64)
    covariance = torch.cat([torch.cat([prior, with_x], 1), torch.cat([with_x.T, W @ prior @ W.T + noise**2 * eye], 1)])
    return Joint(torch.cat([m, W @ m + b]), covariance, Z)


def _linear_case(draw, scale: float, Z: int, X: int, dtype: torch.dtype):
    values = {
        "m": scale * normal(Z),
        "s": scale * normal(Z).mul(0.5).exp(),
        "W": normal(X, Z),
        "b": scale * normal(X),
        "noise": torch.tensor(scale * 10 ** draw.uniform(-1.0, 1.0), dtype=torch.float64),
    }
    own, known = rounded(values, dtype)
    return own, linear(**known)


def _model(x, p):
    z = pyro.sample("z", dist.Normal(p["m"], p["s"]).to_event(1))
    pyro.sample("x", dist.Normal(z @ p["W"].mT + p["b"], p["noise"]).to_event(1), obs=x)


def correlated(seed: int) -> Case:
    """A posterior of any correlation, and guides that know it, know its marginals only, or miss one datum."""
    draw = drawn("correlated", seed)
    Z, X, N = draw.choice([1, 2, 2, 3, 6, 12]), draw.choice([1, 3, 8]), draw.choice([1, 5, 30, 100, 400])
    dtype, scale = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3)
    own, joint = _linear_case(draw, scale, Z, X, dtype)
    x = joint.of_x().sample([N]).to(dtype)
    exactly = joint.posterior(x.double())
    family = draw.choice(["full", "full", "diagonal", "marginal", "student", "mixture", "missed", "missed"])
    wider, moved = draw.uniform(0.5, 2.0), draw.choice([0.0, 0.2, 1.0])
    mean, tril = exactly.mean, exactly.scale_tril[0]
    mean = mean + moved * (tril @ normal(Z, 1)).squeeze(-1)
    missed = 0
    if family == "missed":
        # Encoders that are right but for rare data; of many data few may be in doubt.
        missed, away = draw.choice([1, max(1, N // 30), max(1, N // 20)]), draw.choice([2.0, 4.0, 8.0, 30.0])
        mean = mean.clone()
        mean[:missed] += away * tril[:, 0]
    sd = {"diagonal": exactly.precision_matrix[0].diagonal().rsqrt()}.get(family, exactly.stddev[0])
    of_guide = {
        "mean": mean - (x.double() - joint.mean[Z:]) @ joint.gain().T,
        "gain": joint.gain(),
        "at": joint.mean[Z:],
        "tril": wider * tril,
        "sd": wider * sd,
    }
    of_guide = {name: value.to(dtype) for name, value in of_guide.items()}

    def q_of(loc, p):
        if family in ("full", "missed"):
            return dist.MultivariateNormal(loc, scale_tril=p["tril"])
        if family == "student":
            return dist.StudentT(5.0, loc, p["sd"]).to_event(1)
        if family == "mixture":
            locs = torch.stack([loc - 0.5 * p["sd"], loc + 0.5 * p["sd"]], -2)
            each = dist.Normal(locs, p["sd"].expand_as(locs)).to_event(1)
            return dist.MixtureSameFamily(dist.Categorical(locs.new_ones(2)), each)
        return dist.Normal(loc, p["sd"]).to_event(1)

    def guide(x, row, p):
        pyro.sample("z", q_of(p["mean"][row] + (x - p["at"]) @ p["gain"].mT, p))

    def model(x, row, p):
        _model(x, p)

    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    q = q_of(mean, {name: value.double() for name, value in of_guide.items()})
    z = exactly.sample([1000])
    log_ratio = exactly.log_prob(z) - q.log_prob(z)
    covers = reaches(log_ratio) and 1.0 <= wider <= 1.35 and moved <= 0.2 and Z <= 3 and not missed
    about = f"{family} Z={Z} X={X} N={N} {dtype} {scale=:.1e} {wider=:.2f} {moved=} {missed=} noise={own['noise']:.1e}"
    about += f" away={away}" if missed else ""
    batch = [x, torch.arange(N)]
    resolved = dtype is torch.float64 or float(own["noise"]) > 0.3 * scale
    return Case(
        pair,
        batch,
        joint.of_x().log_prob(x.double()),
        covers and resolved,
        about,
        log_ratio=log_ratio,
        anneal=True,
        widen=family not in ("student",),
    )


def chain(seed: int) -> Case:
    """z2 -> z1 -> x, drawn by the guide in either order."""
    draw = drawn("chain", seed)
    Z, X, N = draw.choice([1, 2, 3]), draw.choice([1, 4]), draw.choice([2, 7, 30])
    dtype, scale = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3)
    sd1, sd = 10 ** draw.uniform(-1, 1), 10 ** draw.uniform(-1, 1)
    values = {
        "A": normal(Z, Z),
        "W": normal(X, Z),
        "s2": scale * torch.ones(Z, dtype=torch.float64),
        "s1": scale * sd1 * torch.ones(Z, dtype=torch.float64),
        "s": scale * sd * torch.ones(X, dtype=torch.float64),
    }
    own, p = rounded(values, dtype)
    # (z2, z1, x) = L e for independent standard normal e.
    zero, eye = torch.zeros(Z, Z, dtype=torch.float64), torch.eye(Z, dtype=torch.float64)
    of2, of1 = torch.cat([eye, zero], 1), torch.cat([p["A"], eye], 1)
    sds = torch.cat([p["s2"], p["s1"], p["s"]])
    L = torch.zeros(2 * Z + X, 2 * Z + X, dtype=torch.float64)
    L[:Z, : 2 * Z], L[Z : 2 * Z, : 2 * Z], L[2 * Z :, : 2 * Z] = of2, of1, p["W"] @ of1
    L[2 * Z :, 2 * Z :] = torch.eye(X, dtype=torch.float64)
    L = L * sds
    joint = Joint(torch.zeros(2 * Z + X, dtype=torch.float64), L @ L.T, 2 * Z)
    x = joint.of_x().sample([N]).to(dtype)
    exactly = joint.posterior(x.double())
    wider, mean_field, turned = draw.uniform(0.6, 1.6), draw.random() < 0.3, draw.random() < 0.5
    first, second = (slice(Z), slice(Z, 2 * Z))
    if turned:
        first, second = second, first
    S, gain = exactly.covariance_matrix[0], joint.gain()
    by_first = torch.linalg.solve(S[first, first], S[first, second]).T
    rest = S[second, second] - by_first @ S[first, second]
    of_guide = {
        "gain1": gain[first],
        "gain2": gain[second],
        "by_first": by_first,
        "tril1": wider * torch.linalg.cholesky((S[first, first] + S[first, first].T) / 2),
        "tril2": wider * torch.linalg.cholesky((rest + rest.T) / 2),
        "sd1": wider * S[first, first].diagonal().sqrt(),
        "sd2": wider * S[second, second].diagonal().sqrt(),
    }
    names = ("z1", "z2") if turned else ("z2", "z1")

    def model(x, p):
        z2 = pyro.sample("z2", dist.Normal(x.new_zeros(Z), p["s2"]).to_event(1))
        z1 = pyro.sample("z1", dist.Normal(z2 @ p["A"].mT, p["s1"]).to_event(1))
        pyro.sample("x", dist.Normal(z1 @ p["W"].mT, p["s"]).to_event(1), obs=x)

    def guide(x, p):
        loc1, loc2 = x @ p["gain1"].mT, x @ p["gain2"].mT
        if mean_field:
            pyro.sample(names[0], dist.Normal(loc1, p["sd1"]).to_event(1))
            pyro.sample(names[1], dist.Normal(loc2, p["sd2"]).to_event(1))
            return
        a = pyro.sample(names[0], dist.MultivariateNormal(loc1, scale_tril=p["tril1"]))
        loc2 = loc2 + (a - loc1) @ p["by_first"].mT
        pyro.sample(names[1], dist.MultivariateNormal(loc2, scale_tril=p["tril2"]))

    pair = pair_of(own, model, guide, {name: value.to(dtype) for name, value in of_guide.items()})
    resolved = dtype is torch.float64 or min(sd1, sd) > 0.3
    z = exactly.sample([1000])
    values = {name: z[..., part].to(dtype) for name, part in zip(names, (first, second), strict=True)}
    log_p = joint.of_x().log_prob(x.double())
    log_ratio = log_weights(pair, [x], 1000, values).double() - log_p
    sound = resolved and reaches(log_ratio)
    about = f"{names} {Z=} {X=} {N=} {dtype} {scale=:.1e} {wider=:.2f} {mean_field=} {sd1=:.2f} {sd=:.2f}"
    return Case(pair, [x], log_p, sound, about, log_ratio=log_ratio, anneal=True, widen=True)


FLOWS = (
    "diagonal",
    "full",
    "lowrank:rank=1",
    "iaf:steps=2:hidden=8",
    "coupling:steps=2:hidden=8",
    "planar:steps=2",
    "radial:steps=2",
    "householder:steps=2",
    "sylvester:steps=2",
    "spline:steps=1:hidden=8",
    "mixture:components=3",
)


class FlowGuide(nn.Module):
    """A family of pyrovae on the features of a linear encoder."""

    def __init__(self, X: int, Z: int, spec: str) -> None:
        super().__init__()
        self.encoder, self.q = nn.Linear(X, 6), registry.family(spec)(6, Z)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(self.encoder(x)))


def flows(seed: int) -> Case:
    """A family of pyrovae as guide, fitted for a few steps; it is sound where it covers draws of the posterior."""
    draw = drawn("flows", seed)
    Z, X, N, spec = draw.choice([2, 3, 4]), draw.choice([2, 4]), draw.choice([3, 20]), draw.choice(FLOWS)
    dtype, steps = draw.choice([torch.float32, torch.float64]), draw.choice([0, 20, 60, 150])
    own, joint = _linear_case(draw, 1.0, Z, X, dtype)
    x = joint.of_x().sample([N]).to(dtype)
    pair = Pair(Program(own, _model), FlowGuide(X, Z, spec).to(dtype))
    optimizer = torch.optim.Adam(pair.parameters(), 0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        (-log_weights(pair, [x], 4).mean()).backward()
        optimizer.step()
    pair.requires_grad_(False).eval()
    log_p, exactly = joint.of_x().log_prob(x.double()), joint.posterior(x.double())
    z = exactly.sample([1000])
    log_ratio = log_weights(pair, [x], 1000, {"z": z.to(dtype)}).double() - log_p
    about = f"{spec} {Z=} {X=} {N=} {dtype} {steps=} noise={own['noise']:.2f}"
    return Case(pair, [x], log_p, reaches(log_ratio), about, log_ratio=log_ratio, anneal=True)
