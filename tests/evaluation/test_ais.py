"""Annealed importance sampling and bidirectional Monte Carlo against closed forms and quadrature."""

import dataclasses
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import GUIDES, VARIANTS, case, linear
from torch import nn

from pyrovae import Pair, PyrovaeError, UsageError
from pyrovae.evaluation import ais, bdmc, chunks
from pyrovae.evaluation.annealing import bridge
from pyrovae.evaluation.annealing import chains as annealing
from pyrovae.evaluation.annealing.hmc import evaluate
from pyrovae.runtime.progress import progress

FEW = {"steps": 20, "leapfrog": 4}


class Program(nn.Module):
    """A function of the batch, written inside the plate."""

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.nothing = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, *batch):
        with pyro.plate("data", len(batch[0]), dim=-1):
            self.body(*batch)


def pair_of(model, guide, inputs=("x",)):
    return Pair(Program(model), Program(guide), inputs)


@dataclasses.dataclass
class Known:
    """A pair whose log p(x) is known by another route."""

    pair: Pair
    batch: list
    log_p: torch.Tensor


def normal(mean, scale):
    return dist.Normal(mean, scale).to_event(1)


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def log_integral(log_density, *grids):
    """Of log_density over a grid of equal spacing."""
    cell = math.prod((grid[1] - grid[0]).item() for grid in grids)
    return log_density(*torch.meshgrid(*grids, indexing="ij")).flatten().logsumexp(0) + math.log(cell)


def grid(low, high, n):
    """Midpoints."""
    return low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n


def bimodal():
    """z ~ N(0, 1), x ~ N(z^2, 0.4): the posterior stands at both roots."""
    x = column(0.3, 1.5, 2.5)

    def model(x):
        z = pyro.sample("z", normal(torch.zeros_like(x[0]), 1.0))
        pyro.sample("x", normal(z**2, 0.4), obs=x)

    def guide(x):
        pyro.sample("z", normal(torch.zeros_like(x), 1.5))

    N = torch.distributions.Normal
    exact = [log_integral(lambda z, v=v: N(0, 1).log_prob(z) + N(z**2, 0.4).log_prob(v), grid(-8, 8, 8000)) for v in x]
    return Known(pair_of(model, guide), [x], torch.stack(exact))


def two_sites():
    """z2 depends on z1 in mean and scale; the guide takes them the other way around."""
    x = column(-1.0, 0.5, 3.0)

    def model(x):
        z1 = pyro.sample("z1", normal(torch.zeros_like(x[0]), 1.0))
        z2 = pyro.sample("z2", normal(torch.sin(2 * z1), (0.5 * z1).exp()))
        pyro.sample("x", normal(z1 + z2, 0.5), obs=x)

    def guide(x):
        z2 = pyro.sample("z2", normal(x / 2, 1.0))
        pyro.sample("z1", normal(x / 2 - z2 / 4, 1.0))

    N, axis = torch.distributions.Normal, (grid(-6, 6, 600), grid(-25, 25, 3000))
    density = lambda z1, z2, v: (  # noqa: E731
        N(0, 1).log_prob(z1) + N(torch.sin(2 * z1), (0.5 * z1).exp()).log_prob(z2) + N(z1 + z2, 0.5).log_prob(v)
    )
    exact = [log_integral(lambda a, b, v=v: density(a, b, v), *axis) for v in x]
    return Known(pair_of(model, guide), [x], torch.stack(exact))


def conditional():
    """z ~ N(y, 1), x ~ N(2z, 0.5): log p(x | y)."""
    x, y = column(0.5, 2.0, -1.0), column(0.0, 1.5, 1.0)

    def model(x, y):
        z = pyro.sample("z", normal(y, 1.0))
        pyro.sample("x", normal(2 * z, 0.5), obs=x)

    def guide(x, y):
        pyro.sample("z", normal((x / 2 + y) / 2, 0.6))

    exact = torch.distributions.Normal(2 * y, math.sqrt(4.25)).log_prob(x).squeeze(-1)
    return Known(pair_of(model, guide, ("x", "y")), [x, y], exact)


def positive():
    """z ~ Gamma(2, 1), x ~ N(z, 0.5), some x below 0."""
    x = column(0.5, 4.0, -0.3)

    def model(x):
        z = pyro.sample("z", dist.Gamma(torch.full_like(x[0], 2.0), 1.0).to_event(1))
        pyro.sample("x", normal(z, 0.5), obs=x)

    def guide(x):
        pyro.sample("z", dist.LogNormal((x.abs() + 0.3).log(), 0.7).to_event(1))

    gamma, N = torch.distributions.Gamma(torch.tensor(2.0, dtype=torch.float64), 1.0), torch.distributions.Normal
    exact = [log_integral(lambda z, v=v: gamma.log_prob(z) + N(z, 0.5).log_prob(v), grid(0, 30, 60000)) for v in x]
    return Known(pair_of(model, guide), [x], torch.stack(exact))


def moving_border():
    """z1 ~ Gamma(3, 1), z2 ~ U(0, z1), x ~ N(z2, 0.3): the support of one latent follows the other."""
    x = column(0.1, 1.0, 4.0)

    def model(x):
        z1 = pyro.sample("z1", dist.Gamma(torch.full_like(x[0], 3.0), 1.0).to_event(1))
        z2 = pyro.sample("z2", dist.Uniform(torch.zeros_like(z1), z1).to_event(1))
        pyro.sample("x", normal(z2, 0.3), obs=x)

    def guide(x):
        z1 = pyro.sample("z1", dist.LogNormal((x + 1).log(), 0.5).to_event(1))
        pyro.sample("z2", dist.Uniform(torch.zeros_like(z1), z1).to_event(1))

    gamma, N = torch.distributions.Gamma(torch.tensor(3.0, dtype=torch.float64), 1.0), torch.distributions.Normal
    density = lambda z1, s, v: gamma.log_prob(z1) + N(s * z1, 0.3).log_prob(v)  # noqa: E731  z2 = s z1
    axis = grid(0, 30, 3000), grid(0, 1, 1000)
    return Known(
        pair_of(model, guide), [x], torch.stack([log_integral(lambda a, b, v=v: density(a, b, v), *axis) for v in x])
    )


def simplex():
    """z ~ Dirichlet(2, 1, 1.5), x ~ N(z, 0.2): three numbers with two dims."""
    concentration = torch.tensor([2.0, 1.0, 1.5], dtype=torch.float64)
    x = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.9, 0.2]], dtype=torch.float64)

    def model(x):
        z = pyro.sample("z", dist.Dirichlet(concentration))
        pyro.sample("x", normal(z, 0.2), obs=x)

    def guide(x):
        pyro.sample("z", dist.Dirichlet(1 + 3 * x))

    first, second = torch.meshgrid(grid(0, 1, 1500), grid(0, 1, 1500), indexing="ij")
    z = torch.stack([first, second, 1 - first - second], -1)[first + second < 1 - 1e-9]
    prior = torch.distributions.Dirichlet(concentration, validate_args=False).log_prob(z)
    noise = lambda v: torch.distributions.Normal(z, 0.2).log_prob(v).sum(-1)  # noqa: E731
    exact = [(prior + noise(v)).logsumexp(0) - 2 * math.log(1500) for v in x]
    return Known(pair_of(model, guide), [x], torch.stack(exact))


def mixture_prior():
    """z ~ a mixture of two normals, whose support torch hides."""
    x = column(-1.0, 2.0)
    means = torch.tensor([[-2.0], [2.0]], dtype=torch.float64)

    def model(x):
        which = dist.Categorical(logits=x.new_zeros(2))
        z = pyro.sample("z", dist.MixtureSameFamily(which, normal(means, 1.0)))
        pyro.sample("x", normal(z, 0.5), obs=x)

    def guide(x):
        pyro.sample("z", normal(x, 0.5))

    each = torch.distributions.Normal(means[:, 0], math.sqrt(1.25)).log_prob(x)
    return Known(pair_of(model, guide), [x], each.logsumexp(-1) - math.log(2))


def gaussian():
    wide = linear(wider=1.5, n=5)
    return Known(wide.pair, [wide.x], wide.log_p)


KNOWN = {
    "gaussian": gaussian,
    "bimodal": bimodal,
    "two-sites": two_sites,
    "conditional": conditional,
    "positive": positive,
    "moving-border": moving_border,
    "simplex": simplex,
    "mixture-prior": mixture_prior,
}


@pytest.fixture(params=KNOWN)
def known(request):
    return KNOWN[request.param]()


@pytest.mark.parametrize("start", ["prior", "guide"])
def test_weights_are_unbiased_and_estimates_lie_within_their_errors(known, start, monkeypatch):
    monkeypatch.setattr(annealing, "PILOT", 20)
    """With as many chains, the mean of w / p(x) is 1 within a few percent."""
    found = ais(known.pair, known.batch, chains=1000, start=start, **FEW)
    ratio = (found.log_likelihood - known.log_p).exp()
    assert ((ratio - 1).abs() < 4.5 * found.standard_error).all()
    assert (found.standard_error < 0.1).all()
    assert (found.standard_error > 0).all()
    assert ((found.acceptance > 0.4) & (found.acceptance < 0.9)).all()


@pytest.mark.parametrize("steps", [1, 7])
def test_the_exact_posterior_as_start_leaves_no_error(steps):
    """All densities of the path are then p(x, z) times a number."""
    exact = linear(n=7)
    found = ais(exact.pair, [exact.x], steps=steps, chains=3, leapfrog=2, start="guide")
    torch.testing.assert_close(found.log_likelihood, exact.log_p, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.ess, torch.full_like(exact.log_p, 3))
    both = bdmc(exact.pair, [exact.x], steps=steps, chains=3, leapfrog=2, start="guide")
    assert both.gap.abs().max() < 1e-9


def test_standard_errors_are_calibrated():
    """The same datum 200 times: the spread of the estimates is what each says about itself."""
    one = linear(n=1)
    found = ais(one.pair, [one.x.expand(200, -1)], steps=15, chains=40, leapfrog=3)
    off = (found.log_likelihood - one.log_p) / found.standard_error
    assert off.std().item() == pytest.approx(1, abs=0.2)
    assert off.mean().abs() < 0.3


def marginal(pair):
    """p(x) of `conftest.linear`."""
    W, b = pair.model.W.detach(), pair.model.b.detach()
    return torch.distributions.MultivariateNormal(b, W @ W.T + 0.49 * torch.eye(len(b), dtype=b.dtype))


def standardised(values, mean):
    """Their mean minus `mean`, in standard errors."""
    return ((values.mean() - mean) / values.std()).item() * math.sqrt(len(values))


def test_bounds_of_simulated_data_hold_the_truth_and_close_with_steps():
    """The model's own data: log p(x) is known for them."""
    one, below = linear(n=300), []
    for steps in (1, 30):
        found = bdmc(one.pair, [one.x], steps=steps, chains=4, leapfrog=4)
        log_p = marginal(one.pair).log_prob(found.data[0])
        below.append((log_p - found.lower, found.upper - log_p))
    assert all(standardised(gap, 0) > 4 for gap in below[0])  # bounds, and not estimates without a bias
    for before, after in zip(*below, strict=True):
        assert standardised(after, 0) > -3
        assert after.mean() < before.mean() / 3


def test_weights_are_unbiased_in_both_directions():
    """E[w] = p(x) and E[1 / w] = 1 / p(x) though two chains share their start; a narrow q keeps 1 / w bounded."""
    narrow = linear(wider=0.8, n=1500)
    found = bdmc(narrow.pair, [narrow.x], steps=3, chains=2, leapfrog=3, start="guide")
    log_p = marginal(narrow.pair).log_prob(found.data[0])
    for ratio in ((found.lower - log_p).exp(), (log_p - found.upper).exp()):
        assert abs(standardised(ratio, 1)) < 4
        assert ratio.std() / math.sqrt(len(ratio)) < 0.02


def test_bounds_meet_for_every_pair(known, monkeypatch):
    monkeypatch.setattr(annealing, "PILOT", 20)
    """The lower one is right (see above), so the upper one is."""
    batch = [tensor[torch.arange(60) % len(tensor)] for tensor in known.batch]
    found = bdmc(known.pair, batch, chains=4, steps=60, leapfrog=4)
    assert standardised(found.gap, 0) > -3
    assert found.gap.mean() < 0.5


def test_simulated_data_follow_the_model_and_keep_their_conditions():
    one = linear(n=2000)
    x = bdmc(one.pair, [one.x], steps=1, chains=1, leapfrog=1).data[0]
    true = marginal(one.pair)
    distance = (true.log_prob(x) - true.log_prob(true.loc)) * -2  # chi-squared with 5 degrees of freedom
    assert abs(standardised(distance, 5)) < 4
    known = conditional()
    found = bdmc(known.pair, known.batch, steps=1, chains=1, leapfrog=1)
    assert torch.equal(found.data[1], known.batch[1])
    assert not torch.equal(found.data[0], known.batch[0])


def test_temperatures_rise_from_0_to_1_densest_at_the_ends():
    b = bridge.temperatures(9)
    assert (b[0].item(), b[-1].item(), len(b)) == (0.0, 1.0, 11)
    steps = b.diff()
    torch.testing.assert_close(steps, steps.flip(0))
    assert (steps[:5].diff() > 0).all()
    sigmoid = lambda t: 1 / (1 + math.exp(-4 * (2 * t - 1)))  # noqa: E731
    assert b[3].item() == pytest.approx((sigmoid(0.3) - sigmoid(0)) / (sigmoid(1) - sigmoid(0)))


def test_steps_are_adapted_for_each_datum():
    """Posteriors of scales 1 and 0.01 in one batch: each has its own step size, and both are accepted."""
    scale = column(1.0, 0.01)

    def model(x, y):
        z = pyro.sample("z", normal(torch.zeros_like(x[0]), 1.0))
        pyro.sample("x", normal(z, y), obs=x)

    def guide(x, y):
        pyro.sample("z", normal(x, y))

    pair, batch = pair_of(model, guide, ("x", "y")), [column(0.3, 0.3), scale]
    found = ais(pair, batch, steps=200, chains=20, leapfrog=3)
    assert ((found.acceptance - annealing.ACCEPTANCE).abs() < 0.1).all()
    run = annealing.Annealing(pair, batch, 200, 20, 3, "prior", 1, progress(False), None, False, "a test")
    ((_, sizes),) = run.over(run.pilot)
    assert sizes.shape == (200, 2)
    assert sizes[0, 0] / sizes[0, 1] < 15
    assert 40 < sizes[-1, 0] / sizes[-1, 1] < 300


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_annealed(monkeypatch, name):
    monkeypatch.setattr(annealing, "PILOT", 3)
    monkeypatch.setattr(annealing, "WARM", 2)
    tried = case(name)
    if name.endswith("-no-z"):
        with pytest.raises(PyrovaeError, match="no latents, and its log-likelihood is exact: take log_likelihood"):
            ais(tried.pair(), tried.batch)
        return
    if name == "ssvae":
        with pytest.raises(PyrovaeError, match="site 'y' is discrete"):
            ais(tried.pair(), tried.batch)
        return
    if name == "vae-bce":
        return  # continuous numbers from a Bernoulli: there is no likelihood
    text = tried.fields["x"].kind == "tokens"
    lengths = (lambda batch: batch[0].ne(0).sum(-1)) if text else None
    found = ais(tried.pair(), tried.batch, 3, 2, 2, lengths=lengths and lengths(tried.batch))
    assert found.log_likelihood.isfinite().all()
    both = bdmc(tried.pair(), tried.batch, 3, 2, 2, lengths=lengths)
    assert (both.upper - both.lower).isfinite().all()
    for ours, theirs in zip(both.data, tried.batch, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if tried.fields["x"].kind == "binary":
        assert ((both.data[0] == 0) | (both.data[0] == 1)).all()


@pytest.mark.parametrize("guide", GUIDES)
def test_every_guide_is_a_start(monkeypatch, guide):
    monkeypatch.setattr(annealing, "WARM", 5)
    monkeypatch.setattr(annealing, "PILOT", 3)
    tried = case("cvae", guide)
    found = ais(tried.pair(), tried.batch, 8, 8, 3, start="guide")
    other = ais(tried.pair(), tried.batch, 20, 8, 4, start="prior")
    assert (found.log_likelihood - other.log_likelihood).abs().mean() < 1.5


def test_dropout_is_off_while_scoring(monkeypatch):
    monkeypatch.setattr(annealing, "PILOT", 3)
    tried = case("textvae", word_dropout=0.9)
    for score, name in ((ais, "log_likelihood"), (bdmc, "upper")):
        trained, scored = (
            getattr(score(tried.pair().train(mode), tried.batch, 1, 1, 1), name) for mode in (True, False)
        )
        assert torch.equal(trained, scored)


def test_same_seed_same_numbers_and_nothing_is_moved():
    tried = case("vae")
    pair = tried.pair().train()
    pair.guide.eval()
    modes = [part.training for part in pair.modules()]
    state, weights = torch.get_rng_state(), [p.detach().clone() for p in pair.parameters()]
    for score, name in ((ais, "log_likelihood"), (bdmc, "upper")):
        a, b, c = (getattr(score(pair, tried.batch, 3, 2, 2, seed=seed), name) for seed in (3, 3, 4))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, before) for p, before in zip(pair.parameters(), weights, strict=True))
    assert all(p.grad is None and p.requires_grad for p in pair.parameters())
    assert [part.training for part in pair.modules()] == modes


@pytest.mark.parametrize("cut", [(1, 400), (2, 150), (4, 400)])
def test_estimates_do_not_follow_the_cut(monkeypatch, cut):
    """Data and chains in any pieces, the last ones short."""
    data, chains = cut
    pieces = lambda one, n, *rest: [chunks.Piece(rows, chains) for rows in torch.arange(n).split(data)]  # noqa: E731
    monkeypatch.setattr(annealing, "pieces", pieces)
    monkeypatch.setattr(annealing, "PILOT", 10)
    wide, order = linear(wider=1.5, n=5), torch.tensor([3, 1, 4, 0, 2])
    found = ais(wide.pair, [wide.x[order]], chains=400, steps=5, leapfrog=2, start="guide")
    assert ((found.log_likelihood - wide.log_p[order]).abs() < 4.5 * found.standard_error).all()
    assert (found.standard_error < 0.05).all()


def test_a_lowered_step_gives_the_same_estimates(monkeypatch):
    monkeypatch.setattr("pyrovae.lowering.engine.FEW", 0)
    monkeypatch.setattr("pyrovae.lowering.engine.COMPILE_SECONDS", math.inf)
    monkeypatch.setattr(annealing, "PILOT", 3)
    seen, true = [], annealing.lower
    monkeypatch.setattr(annealing, "lower", lambda *a, **k: (seen.append(true(*a, **k)), seen[-1])[1])
    for name, start in (("vae-conv", "prior"), ("cvae", "guide")):
        tried = case(name)
        found = [bdmc(tried.pair(), tried.batch, 5, 3, 2, start, compile=mode) for mode in (None, False)]
        assert [engine.tier for engine in seen] == ["traced", "eager"]
        torch.testing.assert_close(found[0].lower, found[1].lower, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[0].upper, found[1].upper, rtol=1e-4, atol=1e-4)
        assert found[0].lowering_seconds > 0
        seen.clear()


def test_a_compiled_step_gives_the_same_estimates(monkeypatch):
    monkeypatch.setattr(annealing, "PILOT", 3)
    tried = case("vae")
    found = [ais(tried.pair(), tried.batch, 5, 3, 2, compile=mode) for mode in (True, False)]
    torch.testing.assert_close(found[0].log_likelihood, found[1].log_likelihood, rtol=1e-4, atol=1e-4)
    assert found[0].lowering_seconds > 0


def test_a_constrained_latent_is_lowered(monkeypatch):
    monkeypatch.setattr("pyrovae.lowering.engine.FEW", 0)
    monkeypatch.setattr("pyrovae.lowering.engine.COMPILE_SECONDS", math.inf)
    seen, true = [], annealing.lower
    monkeypatch.setattr(annealing, "lower", lambda *a, **k: (seen.append(true(*a, **k)), seen[-1])[1])
    known = moving_border()
    ais(known.pair, known.batch, 3, 2, 2)
    assert [(engine.tier, engine.reason) for engine in seen] == [("traced", "")]


def test_chains_that_do_not_fit_at_once_go_one_part_after_the_other(monkeypatch):
    """The pilot runs with the first part of each piece; calls are counted for each shape, to know what is worth."""
    pieces = lambda one, n, *rest: [chunks.Piece(rows, 2) for rows in torch.arange(n).split(4)]  # noqa: E731
    monkeypatch.setattr(annealing, "pieces", pieces)
    one, pilot = linear(n=7), annealing.WARM + annealing.PILOT
    run = annealing.Annealing(one.pair, [one.x], 11, 5, 2, "prior", 2, progress(False), None, False, "a test")
    assert run.calls == {
        (2, 4): 2 * (2 * 11 + pilot + 2 * 11),
        (1, 4): 2 * 2 * 11,
        (2, 3): 2 * (2 * 11 + pilot + 2 * 11),
        (1, 3): 2 * 2 * 11,
    }
    with torch.no_grad():
        size = torch.full((11, 1), 0.1, dtype=torch.float64)
        moved = run.over(lambda piece, part: run.forward(piece, part, size.expand(-1, len(piece.rows))))
        for piece, (weights, _) in moved:
            assert weights.shape == (5, len(piece.rows))
            assert len(weights.unique()) == weights.numel()  # each chain is its own


@pytest.mark.parametrize("depth", [1, 40])
def test_memory_of_a_gradient_grows_with_the_depth_of_a_network(depth):
    """What is kept for the way back is one tensor a layer; weights are there anyway."""
    net = nn.Sequential(*[part for _ in range(depth) for part in (nn.Linear(50, 50), nn.Tanh())])
    u = torch.randn(1, 1, 50)
    measured = annealing.bytes_of_gradient(net, lambda: evaluate(lambda u: (net(u).sum(-1), net(u).sum(-1)), u))
    assert measured == pytest.approx(max(1, 2 * depth / chunks.LIVE) * 50 * 4, rel=0.1)


def discrete():
    def model(x):
        y = pyro.sample("y", dist.Categorical(logits=x.new_zeros(3)))
        z = pyro.sample("z", normal(torch.zeros_like(x[0]), 1.0))
        pyro.sample("x", normal(z + y.unsqueeze(-1), 1.0), obs=x)

    def guide(x):
        pyro.sample("y", dist.Categorical(logits=x.new_zeros(3)))
        pyro.sample("z", normal(x, 1.0))

    return pair_of(model, guide)


def one_hot():
    def program(x):
        pyro.sample("code", dist.OneHotCategorical(logits=x.new_zeros(3)))

    def model(x):
        program(x)
        pyro.sample("x", normal(torch.zeros_like(x), 1.0), obs=x)

    return pair_of(model, program)


@pytest.mark.parametrize("score", [ais, bdmc])
def test_refusals_name_the_site_and_the_cure(score, global_pair):
    x = torch.randn(4, 1)
    for pair, name in ((discrete(), "y"), (one_hot(), "code")):
        with pytest.raises(PyrovaeError, match=f"site '{name}' is discrete: HMC needs gradients; take log_likelihood"):
            score(pair, [x])
    with pytest.raises(PyrovaeError, match=r"\['b'\] stand outside plate 'data'"):
        score(global_pair, [torch.randn(4, 2)])
    one = linear(n=3)
    for numbers in ({"steps": 0}, {"chains": 0}, {"leapfrog": 0}):
        with pytest.raises(UsageError, match="give a whole number of at least 1"):
            score(one.pair, [one.x], **numbers)
    with pytest.raises(UsageError, match="start = 'guid' is no start of the chains: did you mean 'guide'"):
        score(one.pair, [one.x], start="guid")
    with pytest.raises(PyrovaeError, match="no data"):
        score(one.pair, [one.x[:0]])


def test_a_support_without_a_map_is_refused_by_name():
    class Nowhere(torch.distributions.constraints.Constraint):
        event_dim = 0

    class Disk(dist.Normal):
        support = Nowhere()

    def program(x):
        pyro.sample("z", Disk(torch.zeros_like(x), 1.0).to_event(1))

    with pytest.raises(PyrovaeError, match=r"site 'z' has the support .*owhere.*take log_likelihood"):
        ais(pair_of(program, program), [torch.randn(2, 1)], 1, 1, 1)


def test_what_is_no_field_cannot_be_simulated():
    def model(x):
        z = pyro.sample("z", normal(torch.zeros_like(x), 1.0))
        pyro.sample("image", normal(z, 1.0), obs=x)

    def guide(x):
        pyro.sample("z", normal(x, 1.0))

    pair, x = pair_of(model, guide), torch.randn(2, 1)
    assert ais(pair, [x], 1, 1, 1).log_likelihood.isfinite().all()
    with pytest.raises(PyrovaeError, match=r"observed sites \['image'\] are none of the fields \['x'\]"):
        bdmc(pair, [x], 1, 1, 1)


def test_summaries():
    one = linear(wider=1.5, n=6)
    found = ais(one.pair, [one.x], 2, 3, 1)
    summary = found.summary()
    assert summary["log_likelihood"] == pytest.approx(found.log_likelihood.mean().item())
    assert summary["standard_error"] == pytest.approx(found.standard_error.norm().item() / 6)
    assert summary["standard_error_data"] == pytest.approx(found.log_likelihood.std().item() / math.sqrt(6))
    assert (summary["steps"], summary["chains"], summary["leapfrog"], summary["num_data"]) == (2, 3, 1, 6)
    alone = ais(one.pair, [one.x[:1]], 2, 1, 1)
    assert alone.standard_error.isnan().all()  # one chain does not know
    assert alone.summary()["standard_error_data"] is None
    both = bdmc(one.pair, [one.x], 2, 3, 1)
    summary = both.summary()
    assert summary["gap"] == pytest.approx(summary["upper"] - summary["lower"])
    assert summary["gap_standard_error"] == pytest.approx(both.gap.std().item() / math.sqrt(6))
    assert summary["upper_standard_error"] == pytest.approx(both.upper.std().item() / math.sqrt(6))


def test_progress_ends_with_the_estimates(capsys):
    one = linear(wider=1.5, n=3)
    found = ais(one.pair, [one.x], 2, 3, 1, show=progress(True)).summary()
    told = capsys.readouterr().err.splitlines()[-1]
    total = annealing.WARM + annealing.PILOT + 2 + 1
    assert told == f"AIS {total}/{total}  log-likelihood {found['log_likelihood']:.2f}"
    both = bdmc(one.pair, [one.x], 2, 3, 1, show=progress(True)).summary()
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"BDMC {total + 2}/{total + 2}  lower {both['lower']:.2f}  upper {both['upper']:.2f}"
