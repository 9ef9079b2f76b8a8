"""Small data of every kind, every variant on them, and pairs whose numbers are known in closed form."""

import dataclasses
import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# As the command line does, before torch is loaded: threads that spin starve on a machine that is busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

os.environ.pop("COLUMNS", None)  # tables are as wide as they need to be in a pipe

import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from pyrovae import Pair, registry
from pyrovae.data import Field
from pyrovae.data.transforms import Quadrants
from pyrovae.registry.specs import by_site

torch.set_num_threads(1)  # the networks are tiny: threads only cost

MOST_PROCESSES = 4  # each holds torch, data and what it compiles: about 2 GB


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite takes a process a core; where files or tests are named, this one alone. `-n 2` and `-n 0` hold.

    Each process begins with its part of the list, in order, and who is done takes from the rest of another: what a file
    makes for its tests is made once, or twice where it is parted.
    """
    if hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    option = config.option
    whole = [Path(argument).resolve() for argument in config.args] == [Path(__file__).parent]
    some = option.keyword or option.collectonly or getattr(option, "lf", False) or getattr(option, "stepwise", False)
    watched = option.usepdb or option.trace or option.capture == "no"
    if whole and not some and not watched and option.numprocesses is None and option.dist == "no" and not option.tx:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        option.numprocesses = min(cores, MOST_PROCESSES) if cores > 1 else None
    if option.numprocesses and option.dist == "no":
        option.dist = "worksteal"


N = 13

FIRST_GUIDES = ("diagonal", "full", "lowrank:rank=2", "iaf:steps=2:hidden=8")
"""Guides that every variant is tried with."""

GUIDES = (
    *FIRST_GUIDES,
    "planar:steps=2",
    "radial:steps=2",
    "householder:steps=2",
    "sylvester:steps=2:width=2",
    "sylvester:steps=2:width=3:kind=householder:reflections=2",
    "coupling:steps=2:hidden=8",
    "spline:hidden=8:bins=4",
    "spline:hidden=8:bins=4:kind=autoregressive",
    "mixture:components=3",
)
"""Guides that the model vae is tried with, and that are tried by themselves."""

SMALL: dict[str, Any] = {
    "vae": {"latent_dim": 3, "hidden": (9,)},
    "cvae": {"latent_dim": 3, "hidden": (9,)},
    "iaf": {"latent_dim": 3, "widths": (4, 4), "context": 9},
    "hvae": {"latent_dim": (3, 2), "hidden": (9,), "hidden2": (7,)},
    "ssvae": {"latent_dim": 3, "hidden": (9,)},
    "textvae": {"latent_dim": 3, "hidden": 9, "embedding": 6},
}

CONV: dict[str, Any] = {"net": "conv", "channels": (3, 4)}
VAMP: dict[str, Any] = {"prior": "vamp", "pseudo_inputs": 5}
FLOW: dict[str, Any] = {"prior": "flow", "prior_steps": 2, "prior_hidden": 8}

VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {  # name -> model, data, options
    "vae": ("vae", "images", {}),
    "vae-conv": ("vae", "images", CONV),
    "vae-conv-colour": ("vae", "colour", CONV),
    "vae-gated": ("vae", "images", {"activation": "gated"}),
    "vae-conv-gated": ("vae", "colour", CONV | {"activation": "gated"}),
    "vae-vamp": ("vae", "images", VAMP),
    "vae-vamp-vectors": ("vae", "vectors", VAMP),
    "vae-flow-prior": ("vae", "images", FLOW),
    "vae-normal-learned": ("vae", "vectors", {"scale": "learned"}),
    "vae-normal-fixed": ("vae", "vectors", {"scale": "fixed"}),
    "vae-normal-pixel": ("vae", "vectors", {"scale": "pixel"}),
    "vae-conv-normal-pixel": ("vae", "colour", CONV | {"scale": "pixel"}),
    "vae-bce": ("vae", "colour", {"likelihood": "bce"}),
    "cvae": ("cvae", "images", {}),
    "cvae-standard-prior": ("cvae", "images", {"prior": "standard"}),
    "cvae-embedding": ("cvae", "images", {"embedding": 2}),
    "cvae-real-vector": ("cvae", "conditions", {}),
    "cvae-quadrants": ("cvae", "quadrants", {"condition": "quadrants"}),
    "cvae-quadrants-conv": ("cvae", "quadrants", CONV | {"condition": "quadrants"}),
    "cvae-no-skip": ("cvae", "images", {"skip": False}),
    "cvae-no-z": ("cvae", "images", {"z": False}),
    "cvae-quadrants-no-z": ("cvae", "quadrants", {"condition": "quadrants", "z": False}),
    "iaf": ("iaf", "images", {}),
    "iaf-colour": ("iaf", "colour", {}),
    "iaf-vectors": ("iaf", "vectors", {}),
    "hvae": ("hvae", "images", {}),
    "hvae-vamp": ("hvae", "images", VAMP),
    "hvae-conv-colour": ("hvae", "colour", CONV),
    "ssvae": ("ssvae", "partly labelled", {}),
    "textvae": ("textvae", "text", {}),
    "textvae-tied": ("textvae", "text", {"tied": True}),
    "textvae-no-z": ("textvae", "text", {"z": False}),
}

GUIDES_OF: dict[str, tuple[str, ...]] = {
    "vae": GUIDES,
    "vae-gated": ("diagonal",),
    "cvae-no-skip": ("diagonal",),
    "cvae-no-z": ("diagonal",),
    "cvae-quadrants-no-z": ("diagonal",),
    "vae-conv-gated": ("diagonal",),
    "vae-vamp": ("diagonal", "full", "iaf:steps=2:hidden=8", "mixture:components=3"),
    "vae-vamp-vectors": ("diagonal",),
    "vae-flow-prior": ("diagonal", "iaf:steps=2:hidden=8"),
    "hvae-vamp": ("diagonal",),
    "hvae": ("diagonal", "iaf:steps=2:hidden=8", "z1=iaf:steps=2:hidden=8,z2=full"),
    "hvae-conv-colour": ("diagonal",),
}
"""Guides of the variants that are not tried with the first ones."""


def small(kind: str) -> tuple[dict[str, Field], dict[str, Tensor]]:
    """N data of a kind, the same at every call: fields and columns by name."""
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(N) % 3
    images = torch.bernoulli(torch.full((N, 1, 8, 8), 0.4), generator=draw)
    labels = Field((), "category", size=3)
    match kind:
        case "images":
            return {"x": Field((1, 8, 8), "binary", mean=images.mean(0)), "y": labels}, {"x": images, "y": y}
        case "colour":  # odd sizes, three channels
            x = torch.rand(N, 3, 9, 6, generator=draw)
            return {"x": Field((3, 9, 6), "unit", mean=x.mean(0)), "y": labels}, {"x": x, "y": y}
        case "vectors":
            x = torch.randn(N, 6, generator=draw)
            return {"x": Field((6,), "real", mean=x.mean(0)), "y": labels}, {"x": x, "y": y}
        case "conditions":
            real = torch.randn(N, 4, generator=draw)
            return {"x": Field((1, 8, 8), "binary"), "y": Field((4,), "real")}, {"x": images, "y": real}
        case "quadrants":
            partial = Field((2, 8, 8), "partial", of="x")
            return {"x": Field((1, 8, 8), "binary"), "y": partial}, Quadrants(1)({"x": images})
        case "partly labelled":
            some = torch.where(torch.arange(N) % 4 == 1, y, -1)
            partly = Field((), "category", size=3, labelled=0.25)
            return {"x": Field((1, 8, 8), "binary", mean=images.mean(0)), "y": partly}, {"x": images, "y": some}
        case "text":
            x = torch.randint(4, 11, (N, 6), generator=draw)
            ends = torch.arange(N) % 6
            x[torch.arange(N), ends] = 2
            x[torch.arange(6) > ends.unsqueeze(1)] = 0
            return {"x": Field((6,), "tokens", size=11, pad=0, bos=1, eos=2, unk=3)}, {"x": x}
    raise ValueError(kind)


@dataclasses.dataclass(frozen=True)
class Case:
    """A variant with a guide on small data."""

    make: Callable[[], Pair]
    batch: tuple[Tensor, ...]
    fields: Mapping[str, Field]

    def pair(self, seed: int = 0) -> Pair:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.make()


def case(name: str, guide: str = "diagonal", **options: Any) -> Case:
    """A variant of VARIANTS with a guide; `options` on top of its own."""
    model, kind, own = VARIANTS[name]
    variant = registry.variant(model)
    fields, columns = small(kind)
    config = variant.config(**SMALL[model] | own | options)
    make = lambda: variant.build(config, fields, registry.family(guide))  # noqa: E731
    inputs = ("x", "y") if model in ("cvae", "ssvae") else ("x",)
    return Case(make, tuple(columns[name] for name in inputs), fields)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C is answered here and in processes started from here, as tests of it expect, also where the shell that
    started the suite ignores it: under `nohup` and behind `&` it may, and Python leaves that as it is.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Each test draws the same numbers, alone or among others."""
    torch.manual_seed(0)


_DRAW = Figure.savefig


def _pixel(figure: Figure, file: Any, *given: Any, format: str = "png", **options: Any) -> None:
    Image.new("L", (1, 1)).save(file, format)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A picture of a fit is a black pixel but in tests that are marked `drawn`: to draw the four of a small fit takes
    0.9 s, and the fit 0.06. What goes into them is computed everywhere. Set here, as fixtures of a file fit, too.
    """
    Figure.savefig = _DRAW if item.get_closest_marker("drawn") else _pixel


def short(spec: str) -> str:
    """`sylvester-householder` for a spec with a kind and other options, `iaf` for one without."""
    if families := by_site(spec):
        return "-".join(f"{site}={short(each)}" for site, each in families.items())
    family, options = registry.split_spec(spec)
    return "-".join([family, *options.get("kind", "").split()])


@pytest.fixture(params=GUIDES, ids=short)
def guide(request: pytest.FixtureRequest) -> str:
    """Each guide family, small."""
    return request.param


@pytest.fixture(
    name="case",
    params=[(name, guide) for name in VARIANTS for guide in GUIDES_OF.get(name, FIRST_GUIDES)],
    ids=lambda both: f"{both[0]}-{short(both[1])}",
)
def case_fixture(request: pytest.FixtureRequest) -> Case:
    """Each variant with its guides, one variant with every one."""
    return case(*request.param)


class LinearModel(nn.Module):
    """z ~ N(0, I), x ~ N(W z + b, sigma^2 I)."""

    def __init__(self, W: Tensor, b: Tensor, sigma: float) -> None:
        super().__init__()
        self.W, self.b, self.sigma = nn.Parameter(W), nn.Parameter(b), sigma

    def forward(self, x: Tensor) -> None:
        one = torch.ones_like(self.W[0])
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(0 * one, one).to_event(1))
            pyro.sample("x", dist.Normal(z @ self.W.T + self.b, self.sigma).to_event(1), obs=x)


class LinearGuide(nn.Module):
    """The exact posterior of LinearModel, with its scale times `wider`."""

    def __init__(self, W: Tensor, b: Tensor, sigma: float, wider: float) -> None:
        super().__init__()
        covariance = torch.linalg.inv(torch.eye(W.shape[1], dtype=W.dtype) + W.T @ W / sigma**2)
        self.to_mean = nn.Parameter(covariance @ W.T / sigma**2)
        self.b = nn.Parameter(b.clone())
        self.tril = nn.Parameter(wider * torch.linalg.cholesky(covariance))

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.MultivariateNormal((x - self.b) @ self.to_mean.T, scale_tril=self.tril))


@dataclasses.dataclass(frozen=True)
class Linear:
    """A linear-Gaussian pair in double precision whose numbers are known.

    Attributes:
        pair: the guide is the exact posterior with its scale times `wider`.
        x: data, drawn from the model.
        log_p: log p(x), exactly.
        kl: KL(q || posterior), the same for each datum.
        second_moment: E_q[(p/q)^2] of the normalised weights, so ESS / K -> 1 / second_moment;
            infinite for narrow guides.
    """

    pair: Pair
    x: Tensor
    log_p: Tensor
    kl: float
    second_moment: float


def linear(wider: float = 1.0, n: int = 20) -> Linear:
    """D = 5, two latents."""
    draw = torch.Generator().manual_seed(1)
    W = torch.randn(5, 2, generator=draw, dtype=torch.float64)
    b = torch.randn(5, generator=draw, dtype=torch.float64)
    sigma = 0.7
    x = torch.randn(n, 2, generator=draw, dtype=torch.float64) @ W.T + b
    x = x + sigma * torch.randn(n, 5, generator=draw, dtype=torch.float64)
    marginal = torch.distributions.MultivariateNormal(b, W @ W.T + sigma**2 * torch.eye(5, dtype=torch.float64))
    return Linear(
        Pair(LinearModel(W, b, sigma), LinearGuide(W, b, sigma, wider)),
        x,
        marginal.log_prob(x),
        2 * ((wider**2 - 1) / 2 - math.log(wider)),
        (wider**2 / math.sqrt(2 * wider**2 - 1)) ** 2 if 2 * wider**2 > 1 else math.inf,
    )


class GlobalModel(nn.Module):
    """A location b that all data share, outside plate "data": b ~ N(0, 1), z_i ~ N(b, 1), x_i ~ N(z_i, 1)."""

    def forward(self, x: Tensor) -> None:
        one = x.new_ones(2)
        b = pyro.sample("b", dist.Normal(0 * one, one).to_event(1))
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(b, one).to_event(1))
            pyro.sample("x", dist.Normal(z, one).to_event(1), obs=x)


class GlobalGuide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.b, self.scale = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
        self.z = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> None:
        pyro.sample("b", dist.Normal(self.b, self.scale.abs() + 0.1).to_event(1))
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.z(x), x.new_ones(2)).to_event(1))


@pytest.fixture
def global_pair() -> Pair:
    """A pair with the latent site b outside plate "data"."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Pair(GlobalModel(), GlobalGuide())
