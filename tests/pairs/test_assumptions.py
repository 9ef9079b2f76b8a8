"""What would give a finite number without meaning: it is refused, or told, and never called right."""

import copy
import math
from contextlib import contextmanager

import pyro
import pyro.distributions as dist
import pytest
import torch
from commands import score_quickly
from conftest import linear
from torch import nn
from torch.distributions import biject_to, constraints
from torch.distributions.transforms import AffineTransform, ExpTransform, SigmoidTransform
from torch.nn.functional import softplus

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError, evaluation
from pyrovae.objectives.elbo import ELBO
from pyrovae.pairs.arguments import misplaced
from pyrovae.pairs.assumptions import broken
from pyrovae.pairs.strays import require_supported
from pyrovae.pairs.structure import structure
from pyrovae.pairs.supports import is_everything, outside, words
from pyrovae.pairs.traces import log_weights
from pyrovae.svi import Optimizer, Step
from pyrovae.testing import check

SHORT = {"epochs": 1, "score_samples": 5, "device": "cpu", "show": False, "compile": False}


@pytest.fixture(autouse=True)
def quick_scores(monkeypatch):
    score_quickly(monkeypatch)


class Model(nn.Module):
    def __init__(self, noise=lambda h: dist.Normal(h, 1.0), prior=lambda x: dist.Normal(x.new_zeros(2), 1.0)):
        super().__init__()
        self.decoder, self.noise, self.prior = nn.Linear(2, 6), noise, prior

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", self.prior(x).to_event(1))
            pyro.sample("x", self.noise(self.decoder(z)).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, family=lambda loc, scale: dist.Normal(loc, scale)):
        super().__init__()
        self.encoder, self.family = nn.Linear(6, 4), family

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            loc, raw = self.encoder(x).chunk(2, -1)
            pyro.sample("z", self.family(loc, softplus(raw) + 0.1).to_event(1))


class Under(nn.Module):
    """A program under a handler."""

    def __init__(self, program, handler):
        super().__init__()
        self.program, self.handler = program, handler

    def forward(self, x):
        with self.handler(x):
            self.program(x)


class Zonly(nn.Module):
    """The usual KL annealing: the scale stands around z alone."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.decoder = scale, nn.Linear(2, 6)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            with pyro.poutine.scale(scale=self.scale):
                z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)


HANDLERS = {
    "a number": lambda x: pyro.poutine.scale(scale=0.1),
    "the datum": lambda x: pyro.poutine.scale(scale=x[:, 0].exp()),
    "a tensor of one": lambda x: pyro.poutine.scale(scale=torch.ones(())),
    "nothing": lambda x: pyro.poutine.mask(mask=False),
    "some": lambda x: pyro.poutine.mask(mask=x[:, 0] > 0),
}

SCORES = {
    "is": lambda pair, x: evaluation.log_likelihood(pair, [x], 30),
    "ais": lambda pair, x: evaluation.ais(pair, [x], 3, 2),
    "bdmc": lambda pair, x: evaluation.bdmc(pair, [x], 3, 2),
    "elbo": lambda pair, x: evaluation.elbo_per_datum(pair, [x]),
    "mean": lambda pair, x: evaluation.elbo(pair, [x]),
    "refit": lambda pair, x: evaluation.refit(pair, [x], steps=2, rounds=1),
    "fit": lambda pair, x: pyrovae.fit(pair, data=x, **SHORT),
}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("score", SCORES)
def test_a_scale_or_a_mask_is_refused_by_name(handler, score):
    pair, x = Pair(*(Under(each, HANDLERS[handler]) for each in (Model(), Guide()))), torch.randn(30, 6)
    with pytest.raises(PyrovaeError, match=r"site '[xz]' stands under (a )?(scale|mask).*leave the handler out"):
        SCORES[score](pair, x)


def test_a_scale_around_z_in_both_programs_is_refused_and_check_is_red():
    pair, x = Pair(Zonly(0.05), Under(Guide(), lambda x: pyro.poutine.scale(scale=0.05))), torch.randn(30, 6)
    with pytest.raises(PyrovaeError, match=r"site 'z' stands under scale 0\.05.* beta or kl_warmup"):
        evaluation.log_likelihood(pair, [x], 30)
    (law,) = [law for law in check(pair, [x]) if law.name == "structure"]
    assert law.passed is False
    assert "site 'z' stands under scale 0.05" in law.detail


def test_a_mask_inside_a_distribution_and_a_scale_of_one_are_taken():
    pair = Pair(
        Under(Model(lambda h: dist.Normal(h, 1.0).mask(h > 0)), lambda x: pyro.poutine.scale(scale=1.0)), Guide()
    )
    assert structure(pair, [torch.randn(5, 6)]).weighed == {}


def test_a_term_of_training_in_the_guide_may_be_scaled():
    class Penalized(Guide):
        def forward(self, x):
            super().forward(x)
            with pyro.plate("rows", len(x), dim=-1), pyro.poutine.scale(scale=0.5):
                pyro.factor("extra", -x.square().sum(-1), has_rsample=True)

    assert structure(Pair(Model(), Penalized()), [torch.randn(5, 6)]).weighed == {}


@pytest.mark.parametrize("score", SCORES)
def test_a_value_in_the_param_store_is_refused(score):
    class Stored(Model):
        def forward(self, x):
            pyro.param("sigma", torch.tensor(5.0), constraint=dist.constraints.positive)
            super().forward(x)

    with pyro.get_param_store().scope(), pytest.raises(PyrovaeError, match=r"pyro.param\('sigma'\).*nn.Parameter"):
        SCORES[score](Pair(Stored(), Guide()), torch.randn(30, 6))


class Announced(Model):
    """As in Pyro's tutorials."""

    def forward(self, x):
        pyro.module("decoder", self.decoder)
        super().forward(x)


@pytest.mark.parametrize("calls", [2, 3000], ids=["eager", "traced"])
def test_a_second_pair_that_calls_pyro_module_is_its_own(calls):
    """Both train, each its own parameters, and nothing of them stays in Pyro's store."""
    x = torch.randn(20, 6)
    for _ in range(2):
        pair = Pair(Announced(), Guide())
        step = Step(ELBO(pair), Optimizer(list(pair.parameters())))
        step.lower([(x,), (x.flip(0),)], calls=calls)
        assert step.engine.tier == ("eager" if calls == 2 else "traced")
        before = pair.model.decoder.weight.clone()
        step((x,), torch.tensor(0.1), torch.ones(()), torch.ones(()))
        assert not torch.equal(pair.model.decoder.weight, before)
        assert torch.isfinite(pyrovae.log_likelihood(pair, (x,), 5).log_likelihood).all()
    assert list(pyro.get_param_store().keys()) == []


def test_a_parameter_of_a_pyro_module_is_one_of_the_pair():
    from pyro.nn import PyroModule, PyroParam

    class Own(PyroModule):
        def __init__(self):
            super().__init__()
            self.sigma = PyroParam(torch.tensor(2.0), dist.constraints.positive)
            self.program = Model(lambda h: dist.Normal(h, self.sigma))

        def forward(self, x):
            self.program(x)

    with pyro.get_param_store().scope():
        assert structure(Pair(Own(), Guide()), [torch.randn(5, 6)]).stored == []


BITS = torch.tensor([[0.0, 1, 0, 1, 1, 0]])

STRAYS = {  # noise, data whose datum 3 has a number outside, which, Pyro's constraint
    "Bernoulli": (lambda h: dist.Bernoulli(logits=h), BITS, 0.3, "Boolean"),
    "Poisson": (lambda h: dist.Poisson(softplus(h)), 3 * BITS, 1.5, "IntegerGreaterThan"),
    "negative": (lambda h: dist.Poisson(softplus(h)), 3 * BITS, -1.0, "IntegerGreaterThan"),
    "Geometric": (lambda h: dist.Geometric(logits=h), 3 * BITS, 0.5, "IntegerGreaterThan"),
    "NegativeBinomial": (lambda h: dist.NegativeBinomial(4.0, logits=h), 3 * BITS, 0.5, "IntegerGreaterThan"),
    "Binomial": (lambda h: dist.Binomial(3, logits=h), 3 * BITS, 4.0, "IntegerInterval"),
    "ContinuousBernoulli": (lambda h: dist.ContinuousBernoulli(logits=h), BITS, 1.5, "Interval"),
    "Exponential": (lambda h: dist.Exponential(softplus(h)), BITS, -1.0, "GreaterThan"),
    "Gamma": (lambda h: dist.Gamma(softplus(h), 1.0), BITS + 1, -1.0, "GreaterThan"),
    "Beta": (lambda h: dist.Beta(softplus(h), 1.0), BITS / 2 + 0.1, 1.5, "Interval"),
    "Uniform": (lambda h: dist.Uniform(-1 - softplus(h), 1 + softplus(h)), BITS, 99.0, "Interval"),
}


@pytest.mark.parametrize("name", STRAYS)
def test_an_observed_value_outside_the_support_is_refused_with_site_datum_and_constraint(name):
    noise, row, wrong, words = STRAYS[name]
    pair, x = Pair(Model(noise), Guide()), row.repeat(600, 1)
    require_supported(pair, [x])
    assert math.isfinite(evaluation.log_likelihood(pair, [x[:5]], 30).log_likelihood.mean())
    x[577, 4] = wrong
    for score in ("is", "ais", "bdmc", "elbo", "mean", "refit"):
        with pytest.raises(PyrovaeError, match=f"site 'x' observes {wrong:g} in datum 577, outside .*{words}"):
            SCORES[score](pair, x)
    with pytest.raises(PyrovaeError, match=f"site 'x' observes {wrong:g} in datum .* of (train|valid|test), outside"):
        SCORES["fit"](pair, x)


def test_of_a_support_that_depends_on_the_datum_its_own_bounds_are_told():
    pair, x = Pair(Model(lambda h: dist.Binomial(torch.arange(3.0, 9.0), logits=h)), Guide()), torch.full((9, 6), 2.0)
    x[4, 1] = 7.0
    with pytest.raises(
        PyrovaeError, match=r"observes 7 in datum 4, .*, IntegerInterval\(lower_bound=0, upper_bound=4\):"
    ):
        require_supported(pair, [x])


def test_a_class_that_does_not_exist_is_told_before_its_log_probability_is_asked_for():
    """Which would be an index that torch refuses, and on a GPU the end of all work."""
    pair = Pair(Model(lambda h: dist.Categorical(logits=torch.stack([h, -h], -1))), Guide())
    x = torch.ones(60, 6)
    require_supported(pair, [x])
    for wrong in (2.0, -1.0):
        with pytest.raises(PyrovaeError, match=f"site 'x' observes {wrong:g} in datum 0.*Categorical, IntegerInterval"):
            require_supported(pair, [wrong * x])
        with pytest.raises(PyrovaeError, match=f"site 'x' observes {wrong:g} in datum 0.*Categorical, IntegerInterval"):
            pyrovae.fit(pair, data=wrong * x, **SHORT)


def test_a_wrong_value_is_told_by_one_law_and_no_other_is_blamed():
    x = torch.rand(9, 6)
    laws = {law.name: law for law in check(Pair(Model(lambda h: dist.Bernoulli(logits=h)), Guide()), [x])}
    assert "Boolean" in laws["supports"].detail
    assert [name for name, law in laws.items() if law.passed is False] == ["supports"]


def test_what_a_mask_leaves_out_lies_nowhere():
    there = torch.tensor([True, False, True])
    family = dist.Bernoulli(torch.full((4, 3), 0.5)).mask(there).to_event(1)
    assert not outside(family, torch.tensor([1.0, -999.0, 0.0]).expand(4, 3)).any()
    assert outside(family, torch.tensor([0.5, -999.0, 0.0]).expand(4, 3)).any(-1).all()


def test_a_composition_in_float32_is_one():
    family = dist.Dirichlet(torch.ones(200).expand(50, 200))
    x = family.sample()
    assert not outside(family, x * (1 + 3e-6)).any()
    assert outside(family, x * 1.01).all()


def logit_normal(loc, scale):
    return dist.TransformedDistribution(dist.Normal(loc, scale), [SigmoidTransform()])


PRIORS = {  # prior, a family of the guide on it, one that leaves it
    "Exponential": (lambda x: dist.Exponential(x.new_ones(2)), dist.LogNormal, dist.Normal),
    "Uniform": (lambda x: dist.Uniform(x.new_zeros(2), 1.0), logit_normal, dist.LogNormal),
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("score", SCORES)
def test_a_guide_that_leaves_the_support_of_the_prior_is_refused(prior, score):
    p, inside, leaves = PRIORS[prior]
    x = torch.randn(30, 6)
    SCORES[score](Pair(Model(prior=p), Guide(inside)), x)
    says = r"the guide draws (site 'z' from all real numbers|.* for site 'z' of datum \d+.*, outside the support)"
    with pytest.raises(PyrovaeError, match=says):
        SCORES[score](Pair(Model(prior=p), Guide(leaves)), x)


def onto(constraint):
    """What torch maps the real line to a constraint by ends in an affine map, whose values it takes for all numbers."""
    return lambda loc, scale: dist.TransformedDistribution(dist.Normal(loc, scale), [biject_to(constraint)])


@pytest.mark.parametrize(
    ("prior", "constraint"),
    [
        (lambda x: dist.Exponential(x.new_ones(2)), constraints.positive),
        (lambda x: dist.Uniform(x.new_zeros(2), 1.0), constraints.unit_interval),
        (lambda x: dist.Uniform(x.new_full((2,), 2.0), 5.0), constraints.interval(2.0, 5.0)),
        (lambda x: dist.Pareto(x.new_ones(2), 3.0), constraints.greater_than(1.0)),
    ],
)
def test_a_guide_by_the_bijection_of_torch_stays_within_the_support(prior, constraint):
    x = torch.randn(30, 6)
    found = evaluation.log_likelihood(Pair(Model(prior=prior), Guide(onto(constraint))), [x], 100)
    assert found.log_likelihood.isfinite().all()
    if constraint is not constraints.unit_interval:
        with pytest.raises(PyrovaeError, match="outside the support of its"):
            evaluation.log_likelihood(Pair(Model(prior=prior), Guide(onto(constraints.interval(-9.0, -8.0)))), [x], 100)


def test_what_an_affine_map_ends_has_the_support_before_it_moved():
    moved = dist.TransformedDistribution(dist.Normal(0.0, 1.0), [ExpTransform(), AffineTransform(3.0, -2.0)])
    assert outside(moved, torch.tensor([2.9, 3.1])).tolist() == [False, True]
    assert not is_everything(moved)
    assert words(moved) == "GreaterThan(lower_bound=0.0), scaled and moved"
    assert is_everything(dist.TransformedDistribution(dist.Normal(0.0, 1.0), [AffineTransform(3.0, -2.0)]))
    assert is_everything(dist.Gumbel(0.0, 1.0))


@pytest.mark.parametrize(
    "family",
    [
        lambda x: dist.OneHotCategorical(logits=x[:, :2]),
        lambda x: dist.Bernoulli(logits=x[:, :2]).to_event(1),
        lambda x: dist.Poisson(x[:, :2].exp()).to_event(1),
    ],
)
def test_equal_draws_of_a_discrete_latent_of_floats_are_no_lack_of_precision(family):
    class Same(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = nn.Linear(2, 6)

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", family(x.new_zeros(len(x), 6)))
                pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)

    class Drawn(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", family(0 * x))

    x = torch.randn(7, 6)
    assert evaluation.log_likelihood(Pair(Same(), Drawn()), [x], 2000).verdict().trusted


class ReadsMean(Model):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z) + x.mean(0), 1.0).to_event(1), obs=x)


class Centred(Guide):
    def forward(self, x):
        super().forward(x - x.mean(0))


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        (lambda: Pair(Model(), Centred()), "a network mixes the data of a batch"),
        (lambda: Pair(ReadsMean(), Guide()), "changes with the content of"),
    ],
)
def test_rows_that_interact_and_a_model_that_reads_x_are_told_beside_every_number(pair, says, capsys):
    x = torch.randn(30, 6)
    found = evaluation.log_likelihood(pair(), [x], 200)
    assert found.verdict().trusted is False
    assert says in found.verdict().sentence
    run = pyrovae.fit(pair(), data=x, **SHORT | {"show": None})
    assert any(says in warning for warning in run.results["warnings"])
    assert run.results["trusted"] is False
    assert "warning: " in capsys.readouterr().err


def test_sound_pairs_have_no_broken_assumption():
    exact = linear()
    with torch.no_grad():
        assert broken(exact.pair, [exact.x], structure(exact.pair, [exact.x])) == []
    assert evaluation.log_likelihood(exact.pair, [exact.x], 100).verdict().trusted


def test_a_draw_outside_the_support_of_the_prior_weighs_nothing():
    """Exponential(1) prior and x ~ N(z, 1), by draws of which some are negative: log p(x) by quadrature."""

    class Line(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Exponential(x.new_ones(1)).to_event(1))
                pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    class Wide(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.Normal(x, 1.5).to_event(1))

    x = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    with torch.no_grad(), pyro.validation_enabled(False):
        torch.manual_seed(0)
        weights = log_weights(Pair(Line(), Wide()), [x], 200_000)
    z = torch.linspace(0, 30, 300_001, dtype=torch.float64)
    exact = [(-z + dist.Normal(z, 1.0).log_prob(value)).logsumexp(0) + math.log(30 / 300_000) for value in x[:, 0]]
    assert (weights == -math.inf).any()
    torch.testing.assert_close(weights.logsumexp(0) - math.log(200_000), torch.stack(exact), rtol=0, atol=0.01)


@contextmanager
def default(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


AROUND = {
    "scale": lambda: pyro.poutine.scale(scale=0.1),
    "mask": lambda: pyro.poutine.mask(mask=False),
    "trace": lambda: pyro.poutine.trace(),
    "plate": lambda: pyro.plate("outer", 3),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default(torch.float64),
    "validation": lambda: pyro.validation_enabled(True),
}

VERBS = {
    "is": lambda pair, x: evaluation.log_likelihood(pair, [x], 30).log_likelihood,
    "ais": lambda pair, x: evaluation.ais(pair, [x], 3, 2).log_likelihood,
    "elbo": lambda pair, x: torch.tensor(evaluation.elbo(pair, [x])["elbo"], dtype=torch.float64),
    "each": lambda pair, x: evaluation.elbo_per_datum(pair, [x]).elbo,
    "refit": lambda pair, x: evaluation.refit(pair, [x], steps=2, rounds=1).elbo,
    "moments": lambda pair, x: evaluation.posterior_moments(pair, [x])["z"][0],
    "fit": lambda pair, x: pyrovae.fit(copy.deepcopy(pair), data=x, **SHORT).split("test")[0],
    "weights": lambda pair, x: pyrovae.fit(copy.deepcopy(pair), data=x, **SHORT).pair.model.decoder.weight.detach(),
    "named": lambda pair, x: torch.tensor(
        pyrovae.fit("vae", data=x, hidden=(4,), **SHORT).results["test_elbo"], dtype=torch.float64
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_caller_has_put_around_a_verb_does_not_reach_it(verb):
    torch.manual_seed(0)
    pair, x = Pair(Model(), Guide()), torch.randn(40, 6)
    expected = VERBS[verb](pair, x)
    for name, around in AROUND.items():
        if name == "inference_mode" and verb in ("fit", "weights", "named"):
            with around(), pytest.raises(UsageError, match=r"torch\.inference_mode.*call fit outside of it"):
                VERBS[verb](pair, x)
            continue
        with around():
            found = VERBS[verb](pair, x)
        assert torch.equal(found, expected), name
        assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("score", SCORES)
def test_another_default_device_is_refused(score):
    pair, x = Pair(Model(), Guide()), torch.randn(30, 6)
    with (
        torch.device("meta"),
        pytest.raises(UsageError, match=r"default device is meta: .*set_default_device\('cpu'\)"),
    ):
        SCORES[score](pair, x)


def test_a_pair_that_was_made_in_inference_mode_is_refused():
    with torch.inference_mode():
        pair = Pair(Model(), Guide())
    with pytest.raises(UsageError, match=r"model.decoder.weight was made under torch.inference_mode\(\)"):
        pyrovae.fit(pair, data=torch.randn(30, 6), **SHORT)


def test_a_pair_in_double_precision_trains_is_saved_and_scored(tmp_path):
    x = torch.randn(60, 6, dtype=torch.float64)
    run = pyrovae.fit(Pair(Model(), Guide()).double(), data=x, out=tmp_path / "run", **SHORT)
    assert next(run.pair.parameters()).dtype == torch.float64
    assert run.split("test")[0].dtype == torch.float64
    single = pyrovae.fit(Pair(Model(), Guide()), data=x, **SHORT)
    exact = single.log_likelihood(100).summary()["log_likelihood"]
    single.pair.double()
    assert single.log_likelihood(100).summary()["log_likelihood"] == pytest.approx(exact, abs=0.3)
    assert evaluation.log_likelihood(Pair(Model(), Guide()), [x], 10).log_likelihood.isfinite().all()


class Narrow(nn.Module):
    """A guide at 1 whose scale float32 does not resolve there."""

    def __init__(self, scale):
        super().__init__()
        self.at, self.scale = nn.Parameter(torch.ones(2)), scale

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.at.expand(len(x), 2), self.scale).to_event(1))


class Near(Model):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_ones(2), self.scale).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)


@pytest.mark.parametrize("scale", [3e-8, 1e-3])
def test_draws_that_float32_does_not_tell_apart_are_seen(scale):
    pair, x = Pair(Near(scale), Narrow(scale)), torch.randn(20, 6)
    verdict = evaluation.log_likelihood(pair, [x], 200).verdict()
    assert verdict.trusted is (scale == 1e-3)
    assert ("of 256 draws of site 'z'" in verdict.sentence) is (scale == 3e-8)
    found = evaluation.log_likelihood(pair.double(), [x], 200)
    assert found.verdict().trusted
    with torch.no_grad():
        exact = dist.Normal(pair.model.decoder(torch.ones(2).double()), 1.0).to_event(1).log_prob(x.double())
    assert (found.log_likelihood - exact).abs().max() < 0.02


@pytest.mark.parametrize(("total", "near"), [(10.0, True), (1e7, False)])
def test_log_gammas_that_cancel_are_seen_and_double_precision_is_near_poisson(total, near):
    class Counts(Model):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
                rate = softplus(self.decoder(z)) + 1
                counts = dist.NegativeBinomial(total, logits=(rate / total).log())
                pyro.sample("x", counts.to_event(1), obs=x)

    pair, x = Pair(Counts(), Guide()), torch.poisson(torch.full((20, 6), 2.0))
    with torch.no_grad():  # the prior as the guide: every weight is p(x | z)
        pair.guide.encoder.weight.zero_()
        pair.guide.encoder.bias.copy_(torch.tensor([0.0, 0.0, 0.375, 0.375]))
    for data in (x, x[:1]):
        verdict = evaluation.log_likelihood(pair, [data], 2000).verdict()
        assert ("single precision" in verdict.sentence) is not near
    assert verdict.trusted is near
    found = evaluation.log_likelihood(pair.double(), [x], 2000)
    assert found.verdict().trusted
    run = pyrovae.fit(pair.float(), data=x, **SHORT)
    assert any("single precision" in warning for warning in run.results["warnings"]) is not near


def test_a_target_is_not_reached_by_an_estimate_that_is_not_to_be_trusted():
    """A guide 0.75 times as wide as the posterior, in 10 dimensions."""
    D = 10

    class Wide(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body, self.nothing = body, nn.Parameter(torch.zeros(()).double())

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                self.body(x)

    def model(x):
        z = pyro.sample("z", dist.Normal(x.new_zeros(D), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    def guide(x):
        pyro.sample("z", dist.Normal(x / 2, 0.75 / math.sqrt(2)).to_event(1))

    pair, x = Pair(Wide(model), Wide(guide)), math.sqrt(2) * torch.randn(30, D).double()
    seen = set()
    for seed in range(6):
        found = evaluation.log_likelihood(pair, [x], 100, target_se=0.02, max_samples=6400, seed=seed)
        verdict = found.verdict()
        assert not found.target_reached or verdict.trusted
        assert found.target_reached or "were not reached" in verdict.sentence
        seen.add(verdict.trusted)
    assert False in seen


def test_a_guide_at_a_border_is_seen():
    """More than half of what Beta(6.6, 0.03) draws lies nearer to 1 than double precision says."""

    class Share(nn.Module):
        def __init__(self, b):
            super().__init__()
            self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Beta(x.new_full((1,), 6.6), self.b).to_event(1))
                if isinstance(self, Seen):
                    pyro.sample("x", dist.Binomial(20, z).to_event(1), obs=x)

    class Seen(Share):
        pass

    x = torch.tensor([[15.0], [18.0], [16.0]], dtype=torch.float64)
    for b, trusted in ((0.03, False), (2.0, True)):
        verdict = evaluation.log_likelihood(Pair(Seen(b), Share(b)), [x], 4000).verdict()
        assert verdict.trusted is trusted
        assert ("stands at a border" in verdict.sentence) is not trusted


class OneWay(Guide):
    """A flow that is only scored where it was drawn."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            base = dist.Normal(x[:, :2], 1.0).to_event(1)
            pyro.sample("z", dist.TransformedDistribution(base, [dist.transforms.Planar(2)]))


def test_a_guide_without_an_inverse_is_one_sentence():
    pair, x = Pair(Model(), OneWay()), torch.randn(40, 6)
    with pytest.raises(PyrovaeError, match="cannot score values that it did not draw"):
        evaluation.log_likelihood(pair, [x], 5)
    assert not pyrovae.fit(lambda: pair, data=x, **SHORT).results.get("log_likelihood")  # it trains, and is told
    told = [law.detail for law in check(pair, [x]) if law.passed is False]
    assert sum("cannot score values that it did not draw" in each for each in told) >= 3
    for objective in ("stl", "dreg"):
        with pytest.raises(PyrovaeError, match="cannot score values that it did not draw"):
            pyrovae.fit(lambda: Pair(Model(), OneWay()), data=x, **SHORT | {"objective": objective, "particles": 2})
    with pytest.raises(PyrovaeError, match="cannot score values that it did not draw"):
        evaluation.mutual_information(pair, [x])
    assert not any(each.startswith(("KeyError", "NotImplementedError")) for each in told)


@pytest.mark.parametrize(
    ("probs", "told"),
    [([0.25, 0.25, 0.25, 0.249995], []), ([0.5, 0.6, 0.1, 0.1], ["not"]), ([1.2, -0.2, 0.0, 0.0], ["not"])],
)
def test_probabilities_may_be_off_one_by_rounding(probs, told):
    family = dist.Categorical(torch.ones(4), validate_args=False)
    family.probs = torch.tensor(probs)  # torch divides by the sum
    trace = pyro.poutine.trace(lambda: pyro.sample("y", family, obs=torch.tensor(0))).get_trace()
    says = "site 'y': probs of its Categorical is {} Simplex(): take softmax of what a network gives, or logits"
    assert list(misplaced(trace)) == [says.format(each) for each in told]
