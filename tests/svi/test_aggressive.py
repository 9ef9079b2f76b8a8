"""Aggressive updates of the guide: those of a loop by hand, the same after a stop, refused where they mean nothing."""

import itertools
import math
from types import SimpleNamespace

import pyro
import pyro.distributions as dist
import pytest
import torch
from fits import QUICK, VAE, require_same, stopped, trained, vae
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load
from pyrovae.objectives.choose import objective
from pyrovae.options import TrainConfig
from pyrovae.pairs.parameters import apart
from pyrovae.runs import tensors
from pyrovae.runtime.ranks import noise_of
from pyrovae.svi import Optimizer
from pyrovae.svi.aggressive import WINDOW, Aggressive, Drawn, lags
from pyrovae.svi.pieces import Figures
from pyrovae.training.order import order_of, shuffled

TORCH = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax}
LR, WEIGHT, CLIP, SIZE = 0.02, 0.7, 0.5, 16


@pytest.fixture
def x():
    """48 training data: three steps an epoch."""
    return torch.bernoulli(torch.full((60, 1, 4, 4), 0.4), generator=torch.Generator().manual_seed(0))


def by_hand(pair, x, most, epochs, lagging, name):
    """The same in plain torch, with Pyro's traces and two optimizers; how many steps of the guide an epoch had."""
    guide, model = (TORCH[name](part.parameters(), lr=LR, weight_decay=0.01) for part in (pair.guide, pair.model))
    order, step, counts = order_of(0), 0, []

    def gradients(rows):
        """Of distortion + WEIGHT * rate, by Pyro's traces."""
        q = pyro.poutine.trace(pair.guide).get_trace(x[rows])
        p = pyro.poutine.trace(pyro.poutine.replay(pair.model, trace=q)).get_trace(x[rows])
        p.compute_log_prob()
        q.compute_log_prob()
        rate = (q.nodes["z"]["log_prob"] - p.nodes["z"]["log_prob"]).sum()
        loss = WEIGHT * rate - p.nodes["x"]["log_prob"].sum()
        (loss / len(rows)).backward()
        return loss.item()

    def move(*optimizers):
        nn.utils.clip_grad_norm_([p for each in optimizers for p in each.param_groups[0]["params"]], CLIP)
        for optimizer in optimizers:
            optimizer.step()
        guide.zero_grad()
        model.zero_grad()

    for epoch in range(epochs):
        pieces = shuffled(len(x), SIZE, None, order)
        counts.append(0)
        for rows in pieces:
            if epoch < lagging:
                draw = torch.Generator().manual_seed(noise_of(0, 0, step))
                before, window, these = math.inf, [], rows
                for i in range(1, most + 1):
                    window.append((gradients(these), len(these)))
                    move(guide)
                    counts[-1] += 1
                    if i % WINDOW == 0:
                        now = sum(loss for loss, _ in window) / sum(size for _, size in window)
                        if now >= before:
                            break
                        before, window = now, []
                    these = pieces[int(torch.randint(len(pieces), (), generator=draw))]
            gradients(rows)
            move(*([model] if epoch < lagging else [guide, model]))
            step += 1
    return counts


@pytest.mark.parametrize("name", TORCH)
def test_the_weights_are_those_of_a_loop_in_plain_torch(x, monkeypatch, name):
    data = load(x, DataConfig())
    information = iter([SimpleNamespace(nats=1.0), SimpleNamespace(nats=0.5)])
    monkeypatch.setattr("pyrovae.training.heldout.mutual_information", lambda *_: next(information))
    ours, theirs = vae(data), vae(data)
    options = {"batch_size": SIZE, "lr": LR, "beta": WEIGHT, "clip": CLIP, "weight_decay": 0.01, "schedule": "constant"}
    found = trained(ours, data, epochs=3, aggressive=35, optimizer=name, **options)
    rows = data.columns["train"]["x"].float()
    torch.manual_seed(0)
    objective(theirs, (rows[:2],), TrainConfig())  # which looks at the pair before the first step, and draws z for it
    counts = by_hand(theirs, rows, 35, 3, 2, name)
    assert [each["inner_steps"] for each in found.metrics] == counts
    assert 0 == counts[2] < counts[1]
    assert len({*counts[:2], 3 * 35}) > 1, "it never stopped before the most"
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("at", "optimizer"), [(20, "adamax"), (60, "adam")])
def test_a_fit_goes_on_bit_for_bit(x, tmp_path, monkeypatch, at, optimizer):
    options = VAE | {"aggressive": 12, "lr": 0.02, "epochs": 3, "optimizer": optimizer}
    whole = pyrovae.fit("vae", data=x, **options)
    assert whole.results["inner_steps"] > at
    stopped(monkeypatch, at, "vae", data=x, out=tmp_path / "run", checkpoint_every="1", **options)
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, show=False), whole)


def test_sentences_go_on_bit_for_bit(tmp_path, monkeypatch):
    small = {"latent_dim": 2, "hidden": 6, "embedding": 4, "limit_train": 33, "epochs": 2, "score_limit": 10}
    options = QUICK | small | {"aggressive": 3, "word_dropout": 0.2}
    whole = pyrovae.fit("textvae", **options)
    stopped(monkeypatch, 9, "textvae", out=tmp_path / "run", checkpoint_every="1", **options)
    require_same(pyrovae.fit(resume=tmp_path / "run", show=False), whole)


def test_lowered_steps_give_what_eager_ones_give(x, monkeypatch):
    eager = pyrovae.fit("vae", data=x, compile=False, aggressive=12, **VAE | {"epochs": 2})
    monkeypatch.setattr("pyrovae.lowering.engine.FEW", 0)
    lowered = pyrovae.fit("vae", data=x, aggressive=12, **VAE | {"epochs": 2})
    assert (eager.results["engine"], lowered.results["engine"]) == ("eager", "traced")
    ours, theirs = tensors.weights(eager.pair), tensors.weights(lowered.pair)
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-3, atol=1e-5)


def test_the_guide_lags_until_its_information_does_not_rise():
    def told(*nats):
        return [{} if each is None else {"mutual_information": each} for each in nats]

    for nats, expected in [((), True), ((1.0,), True), ((1.0, 2.0), True), ((1.0, 1.0), False), ((2.0, 1.0), False)]:
        assert lags(told(*nats)) is expected
        assert not lags(told(*nats, None))


class Global(nn.Module):
    """A latent that all data share."""

    def __init__(self, guide):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))
        self.guide = guide

    def forward(self, x):
        w = pyro.sample("w", dist.Normal(self.loc, 1.0))
        if not self.guide:
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("x", dist.Normal(w, 1.0).expand([len(x), 1]).to_event(1), obs=x)


def test_pairs_without_a_guide_of_their_own_are_refused(x, tmp_path):
    with pytest.raises(UsageError, match="the guide has nothing to train"):
        pyrovae.fit("textvae", z=False, limit_train=50, aggressive=5, **QUICK)
    pyrovae.fit("vae", data=x, out=tmp_path / "source", **VAE | {"epochs": 1})
    with pytest.raises(UsageError, match="the model has nothing to train"):
        pyrovae.fit(freeze_model=tmp_path / "source", data=x, aggressive=5, show=False)
    pair = vae(load(x, DataConfig()))
    pair.guide.also = pair.model.decoder
    with pytest.raises(UsageError, match=r"shares also\.\S+, .* with the model"):
        pyrovae.fit(pair, data=x, aggressive=5, **QUICK)
    with pytest.raises(PyrovaeError, match=r"^aggressive needs one weight a datum, and sites \['w'\]"):
        pyrovae.fit(Pair(Global(False), Global(True)), data=torch.randn(40, 1), aggressive=5, **QUICK)


def test_several_processes_are_refused(x, monkeypatch):
    monkeypatch.setattr("pyrovae.training.heldout.world", lambda: (0, 2))
    with pytest.raises(UsageError, match=r"^aggressive is for one process"):
        pyrovae.fit("vae", data=x, aggressive=5, **VAE)


def test_a_skipped_step_of_the_guide_is_no_fall_of_the_loss(x):
    """Figures of a skipped step are 0, which would be a loss far below all others."""
    pair, calls, zero = vae(load(x, DataConfig())), itertools.count(1), torch.zeros(())

    def step(rows, lr, kl_weight, fraction, total=None):
        skipped = WINDOW < next(calls) < 2 * WINDOW
        return Figures(*(zero if skipped else torch.tensor(each) for each in (-80.0, 16.0, 64.0, 16.0)))

    _, guide = apart(pair)
    aggressive = Aggressive(pair, Optimizer([*pair.parameters()], apart=guide), lambda _: step, 100)
    batch = Drawn((x[:16],), torch.ones(()), 16)
    _, count = aggressive(batch, itertools.repeat(batch), torch.ones(()), torch.ones(()))
    assert count == 2 * WINDOW
