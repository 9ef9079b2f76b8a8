"""What no number shows of a pair stands beside every number of it: tried once a score, by what the score draws from."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from commands import score_quickly
from conftest import case, linear
from torch import nn
from torch.nn.functional import softplus

import pyrovae
from pyrovae import Pair, PyrovaeError, evaluation
from pyrovae.comparison.scored import Gaps, Scored
from pyrovae.errors import dashed
from pyrovae.evaluation import assumed
from pyrovae.evaluation.annealing import chains as annealing
from pyrovae.evaluation.gap import _annealed
from pyrovae.evaluation.importance.growth import clearing
from pyrovae.evaluation.importance.running import Estimates
from pyrovae.evaluation.importance.trust import BIAS, clears, verdict

SHORT = {"epochs": 1, "score_samples": 5, "device": "cpu", "show": False, "compile": False}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    score_quickly(monkeypatch)
    monkeypatch.setattr(annealing, "PILOT", 3)


class Model(nn.Module):
    def __init__(self, reads=0.0):
        super().__init__()
        self.decoder, self.reads = nn.Linear(2, 6), reads

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z) + self.reads * x.mean(0), 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, centres=0.0):
        super().__init__()
        self.encoder, self.centres = nn.Linear(6, 4), centres

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            loc, raw = self.encoder(x - self.centres * x.mean(0)).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, softplus(raw) + 0.1).to_event(1))


SOUND, MIXES, READS = (
    (lambda: Pair(Model(), Guide())),
    lambda: Pair(Model(), Guide(1.0)),
    lambda: Pair(Model(1.0), Guide()),
)

SCORES = {
    "is": lambda pair, x: evaluation.log_likelihood(pair, [x], 30),
    "widened": lambda pair, x: evaluation.log_likelihood(pair, [x], 30, proposal="widened"),
    "ais": lambda pair, x: evaluation.ais(pair, [x], 3, 2, 2, "guide"),
    "bdmc": lambda pair, x: evaluation.bdmc(pair, [x], 3, 2, 2, "guide"),
    "gap": lambda pair, x: evaluation.gap(pair, [x], 30, 3, 2, refitted=evaluation.refit(pair, [x], steps=2, rounds=1)),
    "elbo": lambda pair, x: evaluation.elbo_per_datum(pair, [x]),
}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("pair", "says"), [(SOUND, ""), (MIXES, "mixes the data of a batch"), (READS, "changes with the content of")]
)
def test_every_score_says_what_does_not_hold(score, pair, says):
    found = SCORES[score](pair(), torch.randn(9, 6))
    assert any(says in each for each in found.broken) is bool(says)
    if score == "elbo":
        return
    summary = found.summary()
    assert summary["broken"] == [*found.broken]
    if says:
        assert summary["trusted"] is False
        assert says in summary["verdict"]
    elif score in ("ais", "bdmc", "gap"):
        assert summary["trusted"] is None  # no proof that it is right


@pytest.mark.parametrize("score", ["is", "gap"])
def test_what_is_assumed_is_tried_once_a_score(score, monkeypatch):
    seen, tried = [], assumed.broken
    monkeypatch.setattr(assumed, "broken", lambda *given: seen.append(given) or tried(*given))
    SCORES[score](SOUND(), torch.randn(9, 6))
    assert len(seen) == 1


def test_a_guide_that_no_chain_draws_from_is_not_blamed():
    x = torch.randn(9, 6)
    for verb in (evaluation.ais, evaluation.bdmc):
        assert verb(MIXES(), [x], 3, 2, 2, "prior").broken == ()
        assert verb(READS(), [x], 3, 2, 2, "prior").broken


class Point(nn.Module):
    """A guide at 1 of some scale."""

    def __init__(self, scale):
        super().__init__()
        self.at, self.scale = nn.Parameter(torch.ones(2)), nn.Parameter(torch.tensor(scale))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.at.expand(len(x), 2), self.scale).to_event(1))


def test_the_draws_of_the_proposal_are_tried_and_not_those_of_the_guide():
    x = torch.randn(9, 6)
    coarse = Pair(Model(), Point(3e-8))
    assert "of 256 draws of site 'z'" in evaluation.log_likelihood(coarse, [x], 30).broken[0]
    assert "for 9 of 9 data" not in evaluation.log_likelihood(coarse, [x], 30).broken[0]  # seven are tried
    fine = Pair(Model(), Point(0.5))
    refitted = evaluation.refit(fine, [x], steps=2, rounds=1)
    assert evaluation.log_likelihood(fine, [x], 30, proposal=refitted).broken == ()
    for value in refitted.parameters.values():
        if value.dim() == 1:  # the scale of each datum
            value.fill_(3e-8)
    (told,) = evaluation.log_likelihood(fine, [x], 30, proposal=refitted).broken
    assert "256 draws of site 'z' are one and the same number, for 7 of 7 data tried" in told


class Far(Model):
    """Numbers that single precision does not hold, where z is beyond 4."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            mean = self.decoder(z) + 3e4 * (z[..., :1].abs() > 4)
            pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x)


def test_draws_of_the_widened_guide_are_tried_where_it_is_drawn_from():
    pair, x = Pair(Far(), Point(0.5)), torch.randn(9, 6)
    assert evaluation.log_likelihood(pair, [x], 30).broken == ()
    (told,) = evaluation.log_likelihood(pair, [x], 30, proposal="widened", wider=100).broken
    assert "nats off in single precision" in told


def test_moments_of_rows_that_interact_say_so():
    run = pyrovae.fit(MIXES(), data=torch.randn(30, 6), **SHORT)
    assert "mixes the data of a batch" in run.encode()["broken"][0]
    assert "broken" not in pyrovae.fit(SOUND(), data=torch.randn(30, 6), **SHORT).encode()


def test_a_comparison_says_it_of_every_figure():
    run = pyrovae.fit(MIXES(), data=torch.randn(30, 6), **SHORT)
    trust = Scored(run, Gaps(2, 10, 0)).trust
    assert trust["trusted"] is False
    assert "mixes the data of a batch" in trust["broken"][0]
    few = Scored(pyrovae.fit(SOUND(), data=torch.randn(30, 6), **SHORT)).trust
    assert few == {"trusted": None, "verdict": few["verdict"], "broken": []}
    assert "cannot be judged from 5 samples" in few["verdict"]


def test_the_difference_of_two_runs_says_nothing_where_one_is_broken():
    x = torch.randn(30, 6)
    sound, mixes = (pyrovae.fit(make(), data=x, **SHORT) for make in (SOUND, MIXES))
    for run, baseline in ((sound, mixes), (mixes, sound)):
        found = run.evaluate(30, baseline=baseline)["baseline"]
        assert found["verdict"].startswith("The difference says nothing, as the log-likelihood of th")
        assert "mixes the data of a batch" in found["broken"][0]
    assert sound.evaluate(30)["broken"] == []


BCE = "bce scores grayscale by a cross-entropy, which is no log-probability"


def test_bce_is_called_what_it_is_beside_every_number(capsys):
    tried = case("vae-bce")
    found = [
        evaluation.log_likelihood(tried.pair(), tried.batch, 30),
        evaluation.elbo_per_datum(tried.pair(), tried.batch),
    ]
    assert all(BCE in each.broken[0] for each in found)
    assert found[0].verdict().trusted is False
    short = SHORT | {"show": None, "binarize": "none", "hidden": (4,), "latent_dim": 2}
    run = pyrovae.fit("vae", data=torch.rand(30, 5), likelihood="bce", **short)
    assert f"note: {BCE}" in capsys.readouterr().err
    assert BCE in run.results["verdict"]
    assert [BCE in each for each in run.results["warnings"]][:1] == [True]
    scores = run.evaluate(30)
    assert (scores["trusted"], BCE in scores["verdict"], len(scores["broken"])) == (False, True, 1)
    normal = pyrovae.fit("vae", data=torch.rand(30, 5), likelihood="normal", **short)
    assert normal.evaluate(30)["broken"] == []


# Growing towards a target.


def test_samples_grow_on_where_only_trust_is_missing():
    """From 8 weights no tail is known; error and bias look small enough."""
    wide = linear(wider=1.3, n=30)
    assert evaluation.log_likelihood(wide.pair, [wide.x], 8).summary()["standard_error"] < 0.3
    found = evaluation.log_likelihood(wide.pair, [wide.x], 8, target_se=0.3, max_samples=10**5)
    assert found.target_reached is True
    assert found.verdict().trusted is True
    assert 25 <= found.samples < 200


class Tails:
    """Weights of tails of one k, of which one in 10 is effective at first, and one in 100 at last."""

    def __init__(self, k, n=20, drawn=100):
        self.k, self.drawn = k, torch.full((n,), drawn)

    def estimates(self):
        drawn = self.drawn.double()
        ess = 0.05 * 100 * (drawn / 100) ** (2 - 2 * self.k)
        return Estimates(-drawn, 1 / ess, ess, torch.full_like(drawn, self.k), -drawn)


@pytest.mark.parametrize(
    ("k", "ends"),
    [
        (0.62, 800),  # below the threshold of 800 weights, 0.66
        (0.72, 25600),  # above all thresholds: 100 effective ones
        (0.9, 1600),  # from 1000 on it is given up
    ],
)
def test_data_in_doubt_grow_until_they_are_not_or_never_will_be(k, ends):
    found = Tails(k)
    for rows, count in clearing(found, 10**5):
        found.drawn[rows] += count
    assert found.drawn.tolist() == [ends] * 20


def test_samples_stop_where_more_would_bring_no_trust_and_the_verdict_says_so():
    """Of a guide a tenth as wide k is 0.99."""
    narrow = linear(wider=0.1, n=20)
    found = evaluation.log_likelihood(narrow.pair, [narrow.x], 1000, target_se=0.3, max_samples=10**6)
    assert found.samples < 10**5
    assert found.target_reached is False
    sentence = found.verdict().sentence
    assert "look that small" in sentence
    assert "by their tails more samples, up to 1000000, would not change that" in sentence
    assert "more samples, or ais" not in sentence


def test_a_target_above_the_bias_that_is_trusted_is_not_reached_by_less():
    wide = linear(wider=2.5, n=4)
    found = evaluation.log_likelihood(wide.pair, [wide.x], 30, target_se=2.0, max_samples=10**5)
    assert found.target_reached is True
    assert found.summary()["bias"] <= BIAS


@pytest.mark.parametrize(
    ("k", "ess", "drawn", "most", "helped"),
    [
        (0.6, 3.0, 100, 10**5, True),  # above the 0.5 of 100 samples, below the 0.7 of many
        (0.8, 50.0, 1000, 10**5, True),  # 1000 * 2^2.5 samples have 100 effective ones
        (0.8, 50.0, 1000, 4000, False),
        (1.2, 2.0, 100, 10**5, True),  # a k of so few may be another
        (0.99, 2.0, 1000, 10**9, False),
        (1.2, 2.0, 1000, 10**9, False),
        (0.6, 3.0, 100, 100, False),  # no more are allowed
        (0.1, 50.0, 100, 10**5, False),  # not in doubt
        (math.nan, 3.0, 10, 10**5, True),  # too few to know
        (math.nan, 3.0, 10, 20, False),
        (math.nan, math.nan, 100, 10**5, False),  # not finite
    ],
)
def test_which_data_more_samples_help(k, ess, drawn, most, helped):
    found = clears(*(torch.tensor([value], dtype=torch.float64) for value in (k, ess)), torch.tensor([drawn]), most)
    assert found.tolist() == [helped]


def test_a_verdict_on_a_missed_target_says_what_was_missing():
    def said(k, error, drawn, most):
        n = 10
        filled = [torch.full((n,), value, dtype=torch.float64) for value in (error, 2.0, k)]
        return verdict(*filled, torch.full((n,), drawn), "guide", 0.05, most=most).sentence

    assert "were not reached with 100 samples" in said(0.9, 0.4, 100, 100)
    assert "with 100 samples they look that small, and these weights say too little)" in said(0.9, 0.01, 100, 100)
    hopeless = said(0.99, 0.01, 100, 1000)
    assert "by their tails more samples, up to 1000, would not change that" in hopeless
    assert "take proposal='widened' or proposal='refit', or ais" in hopeless


# What a pair or its data lack is said in a sentence.


class Fixed(nn.Module):
    """A program whose network has no part in it."""

    def __init__(self, body):
        super().__init__()
        self.body, self.unused = body, nn.Linear(2, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            self.body(x)


def no_part():
    def model(x):
        z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(torch.cat([z, z, z], -1), 1.0).to_event(1), obs=x)

    return Pair(Fixed(model), Fixed(lambda x: pyro.sample("z", dist.Normal(x[..., :2] / 2, 0.5).to_event(1))))


def test_a_loss_without_a_parameter_is_told():
    x = torch.randn(30, 6)
    with pytest.raises(
        PyrovaeError, match="no parameter of the pair has a part in its loss, so there is nothing to train"
    ):
        pyrovae.fit(no_part(), data=x, **SHORT)
    with pytest.raises(
        PyrovaeError, match="no parameter of the guide has a part in its draws: there is nothing to refit"
    ):
        evaluation.refit(no_part(), [x], steps=2, rounds=1)


WIDTHS = {name: score for name, score in SCORES.items() if name != "gap"} | {
    "gap": lambda pair, x: evaluation.gap(pair, [x], 30, 3, 2),
    "mean": lambda pair, x: evaluation.elbo(pair, [x]),
    "moments": lambda pair, x: evaluation.posterior_moments(pair, [x]),
    "rates": lambda pair, x: evaluation.diagnose(pair, [x]),
}


@pytest.mark.parametrize("score", WIDTHS)
@pytest.mark.parametrize("own", [True, False])
def test_data_of_another_width_are_told_with_their_shape_by_every_score(score, own):
    pair = SOUND()
    pair.own = own
    with pytest.raises(PyrovaeError, match=r"does not run on these data, whose shapes are x \(5,\): .*; give data of"):
        WIDTHS[score](pair, torch.randn(9, 5))


@pytest.mark.parametrize("score", WIDTHS)
def test_double_data_are_scored_by_a_pair_in_single_precision(score):
    WIDTHS[score](SOUND(), torch.randn(9, 6, dtype=torch.float64))


class Unmoved(dist.Normal):
    """Draws without a gradient."""

    has_rsample = False


class Switch(Model):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Bernoulli(x.new_full((2,), 0.5)).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)


class Flips(Guide):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Bernoulli(logits=self.encoder(x)[..., :2]).to_event(1))


class Rough(Guide):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", Unmoved(self.encoder(x)[..., :2], 1.0).to_event(1))


def test_gap_sends_to_what_there_is():
    x = torch.randn(9, 6)
    says = r"the gap is taken apart by .* without reparametrization: `pyrovae evaluate` has ELBO and log-likelihood"
    with pytest.raises(PyrovaeError, match=says):
        evaluation.gap(Pair(Model(), Rough()), [x])
    with (
        dashed(),
        pytest.raises(PyrovaeError, match=r"HMC needs gradients; leave annealing out, --ais-steps 0"),
    ):
        _annealed(Pair(Switch(), Flips()), [x], 3, 2, 0, None, None, ())
    with dashed(), pytest.raises(PyrovaeError, match=r"is discrete: HMC needs gradients; take `loglik --method is`"):
        evaluation.ais(Pair(Switch(), Flips()), [x], 3, 2)
