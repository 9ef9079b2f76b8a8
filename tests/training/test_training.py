"""Training: the same seed gives the same weights, updates are torch's, and what goes wrong is told and survived."""

import json
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case, linear
from fits import trained, vae
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError
from pyrovae.data import DataConfig, stream
from pyrovae.data.catalogue import load
from pyrovae.objectives.elbo import ELBO
from pyrovae.options import TrainConfig
from pyrovae.runs import tensors
from pyrovae.runs.recipe import Recipe
from pyrovae.runtime.progress import progress
from pyrovae.runtime.streams import Spare
from pyrovae.svi import Optimizer, Step, kl_weight, learning_rate
from pyrovae.training.advice import notes
from pyrovae.training.order import batch_size, epochs, shuffled

CPU = torch.device("cpu")
RATE = torch.tensor(0.1)
KEYS = ["epoch", "step", "train_elbo", "valid_elbo", "rate", "distortion", "valid_rate", "valid_distortion"]
KEYS += ["lr", "kl_weight", "train_seconds", "steps"]
SMALL = {"latent_dim": 2, "hidden": (6,), "score_samples": 2, "device": "cpu", "show": False}

SCORES = ("elbo", "rate", "distortion")


@pytest.fixture
def x():
    return torch.bernoulli(torch.full((60, 1, 4, 4), 0.4))


@pytest.fixture
def data(x):
    """48 training data, 6 held out, 6 of test."""
    return load(x, DataConfig())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_same_seed_same_weights_bit_for_bit_and_the_generator_as_found(x):
    state = torch.get_rng_state()
    runs = [pyrovae.fit("vae", data=x, epochs=2, seed=seed, **SMALL) for seed in (1, 1, 2)]
    assert torch.equal(state, torch.get_rng_state())
    weights = [tensors.weights(run.pair) for run in runs]
    assert same(weights[0], weights[1])
    assert not same(weights[0], weights[2])
    results = [{k: v for k, v in run.results.items() if "seconds" not in k} for run in runs]
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_the_callers_generator_does_not_matter(x):
    runs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        runs.append(pyrovae.fit("vae", data=x, epochs=1, **SMALL))
    assert same(tensors.weights(runs[0].pair), tensors.weights(runs[1].pair))


def test_two_pairs_in_one_process_both_train(data):
    for seed in (0, 1):
        pair = vae(data, seed)
        before = {name: tensor.clone() for name, tensor in tensors.weights(pair).items()}
        found = trained(pair, data, epochs=3, batch_size=16)
        moved = {name for name, tensor in found.last.items() if not torch.equal(tensor, before[name])}
        assert {name for name, _ in pair.named_parameters()} <= moved
    assert list(pyro.get_param_store().keys()) == []


def test_training_raises_the_held_out_elbo():
    half = torch.rand(200, 1) < 0.5
    x = torch.where(half, torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]), torch.tensor([0.0, 0, 0, 0, 1, 1, 1, 1]))
    data = load(x, DataConfig())
    found = trained(vae(data), data, epochs=40, batch_size=20, lr=0.02)
    assert found.metrics[-1]["valid_elbo"] > -2.5  # log 1/2 and little more; 8 log 1/2 = -5.5 at the start
    assert found.metrics[0]["valid_elbo"] < -4


KINDS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
}


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in KINDS), ("rmsprop", {"momentum": 0.9})])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_updates_are_those_of_torch_with_the_global_norm_clipped(name, options, clip):
    """eps = 1 keeps Adam from being blind to the size of a gradient."""
    shapes = [(3, 4), (5,), ()]
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in shapes] for _ in range(2))
    optimizer = Optimizer(ours, name, lr=0.1, eps=1.0, weight_decay=0.01, clip=clip, **options)
    reference = KINDS[name](theirs, lr=0.1, eps=1.0, weight_decay=0.01, **options)
    for size in (10.0, 0.01, 3.0, 0.1, 1.0):
        gradients = [size * torch.randn(shape) for shape in shapes]
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        if clip:
            nn.utils.clip_grad_norm_(theirs, clip)
        reference.step()
        optimizer.update(optimizer.guard([gradient.clone() for gradient in gradients]), RATE)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        assert a.grad is None
    assert optimizer.skipped == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in KINDS), ("rmsprop", {"momentum": 0.9})])
def test_a_gradient_that_is_not_finite_is_skipped_counted_and_forgotten(name, options, clip, bad):
    hit, clean = ([nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))] for _ in range(2))
    optimizers = [Optimizer(parameters, name, lr=0.1, clip=clip, **options) for parameters in (hit, clean)]
    good = [[torch.randn(3), torch.randn(2)] for _ in range(4)]
    for i, gradients in enumerate(good):
        for optimizer in optimizers:
            optimizer.update(optimizer.guard([gradient.clone() for gradient in gradients]), RATE)
        if i in (0, 2):
            before = [parameter.detach().clone() for parameter in hit]
            optimizers[0].update(optimizers[0].guard([torch.randn(3), torch.tensor([0.0, bad])]), RATE)
            assert all(torch.equal(a, b) for a, b in zip(hit, before, strict=True))
    assert optimizers[0].skipped == 2
    assert optimizers[1].skipped == 0
    for a, b in zip(hit, clean, strict=True):  # moments and step counts never saw it
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_the_gradient_is_that_of_the_mean_a_datum():
    tried = case("vae")
    pair = tried.pair()
    step = Step(ELBO(pair), Optimizer(list(pair.parameters())))
    torch.manual_seed(0)
    _, (gradients, _, _) = step.gradients(tried.batch, torch.tensor(0.5), torch.tensor(1.0))
    torch.manual_seed(0)
    loss = ELBO(pair)(*tried.batch, kl_weight=0.5).loss / len(tried.batch[0])
    for a, b in zip(gradients, torch.autograd.grad(loss, list(pair.parameters())), strict=True):
        torch.testing.assert_close(a, b)


class Sometimes(nn.Module):
    """A guide whose gradient is not finite where a batch holds the marked datum."""

    def __init__(self, always=False):
        super().__init__()
        self.scale, self.always = nn.Parameter(torch.ones(())), always

    def forward(self, x):
        marked = torch.ones(()) if self.always else (x[:, 0] == 7).any().float()
        with pyro.plate("data", len(x), dim=-1):
            loc = self.scale * x + (marked * torch.nan if marked and self.training else 0.0)
            pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z + self.shift, 1.0).to_event(1), obs=x)


def test_a_bad_batch_is_skipped_and_the_rest_is_trained():
    x = torch.randn(60, 2)
    x[:, 0] = x[:, 0].clamp(-3, 3)
    data = load(x, DataConfig())
    data.columns["train"]["x"][5, 0] = 7.0
    found = trained(Pair(Plain(), Sometimes()), data, epochs=3, batch_size=12)
    assert found.skipped == 3
    assert found.stopped == "done"
    assert all(tensor.isfinite().all() for tensor in found.last.values())
    assert found.last["model.shift"].abs().min() > 0


def test_a_fit_in_which_every_gradient_is_bad_stops():
    data = load(torch.randn(60, 2), DataConfig())
    seen = []
    found = trained(Pair(Plain(), Sometimes(always=True)), data, seen.append, epochs=50, batch_size=12, max_skipped=6)
    assert found.stopped == "diverged"
    assert len(seen) == 1
    assert found.skipped == 6
    assert found.best_epoch == 1  # scored in eval mode, where it is finite


def test_no_finite_held_out_elbo_is_an_error(data, monkeypatch):
    monkeypatch.setattr(
        "pyrovae.training.heldout.elbo", lambda *a, **k: {"elbo": math.nan, "rate": math.nan, "distortion": math.nan}
    )
    with pytest.raises(PyrovaeError, match="never reached a finite held-out ELBO"):
        trained(vae(data), data, epochs=2)


def test_learning_rate_schedules():
    assert learning_rate(7, 10, 0.1) == 0.1
    for schedule in ("cosine", "linear"):
        assert learning_rate(0, 10, 0.1, schedule) == 0.1
        assert learning_rate(5, 10, 0.1, schedule) == pytest.approx(0.05)
        assert learning_rate(10, 10, 0.1, schedule) == pytest.approx(0)
        rates = [learning_rate(i, 10, 0.1, schedule) for i in range(12)]
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] >= 0
    assert learning_rate(1, 10, 0.1, "cosine") == pytest.approx(0.05 * (1 + math.cos(0.1 * math.pi)))
    # Burda et al. 2016: 3^i passes at 0.001 * 10^(-i/7), i = 0..7, 3280 in all.
    rates = [learning_rate(i, 3280, 1e-3, "iwae") for i in range(3280)]
    for i in range(8):
        assert sum(math.isclose(rate, 1e-3 * 10 ** (-i / 7)) for rate in rates) == 3**i
    assert learning_rate(0, 0, 0.1, "cosine") == 0.1


def test_kl_warmup():
    assert [kl_weight(i, 4, beta=2.0) for i in range(6)] == [0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert kl_weight(0, 0) == 1.0


def test_a_kl_warmup_that_starts_above_zero():
    assert [kl_weight(i, 4, 2.0, 6, start=0.1) for i in range(7)] == pytest.approx(
        [0.2, 0.65, 1.1, 1.55, 2.0, 2.0, 0.2]
    )


def test_kl_weight_grows_in_training(data):
    seen = trained(vae(data), data, epochs=4, batch_size=24, kl_warmup=2, beta=0.5, lr=1e-3, schedule="linear").metrics
    assert [metrics["kl_weight"] for metrics in seen] == [0.125, 0.375, 0.5, 0.5]  # of the last step of an epoch
    assert [metrics["lr"] for metrics in seen] == pytest.approx([1e-3 * (1 - done / 8) for done in (1, 3, 5, 7)])
    for metrics in seen:
        assert metrics["train_elbo"] == pytest.approx(-metrics["rate"] - metrics["distortion"], rel=1e-5)


def test_kl_cycles_start_again_at_zero():
    assert [kl_weight(i, 2, beta=2.0, cycle_steps=4) for i in range(9)] == [0, 1, 2, 2, 0, 1, 2, 2, 0]
    # Fu et al. (2019), equation 6 with M = 2 cycles, R = 0.5 and T = 40 steps, counted from 0.
    T, M, R = 40, 2, 0.5
    tau = [(t % math.ceil(T / M)) / (T / M) for t in range(T)]
    assert [kl_weight(t, round(R * T / M), cycle_steps=math.ceil(T / M)) for t in range(T)] == pytest.approx(
        [tau[t] / R if tau[t] <= R else 1.0 for t in range(T)]
    )


def test_kl_cycles_of_a_fit(data):
    options = {"epochs": 5, "batch_size": 24, "kl_warmup": 1, "beta": 0.5}
    seen = trained(vae(data), data, kl_cycles=2, **options).metrics  # 10 steps in cycles of 5
    assert [metrics["kl_weight"] for metrics in seen] == [0.25, 0.5, 0.0, 0.5, 0.5]
    assert [metrics["kl_weight"] for metrics in trained(vae(data), data, **options).metrics] == [0.25] + [0.5] * 4


def test_a_warmup_longer_than_a_cycle_is_told(data):
    options = {"epochs": 10, "kl_warmup": 4, "beta": 2.0}
    assert notes(data, Recipe.of(None, settings=options | {"kl_cycles": 2})) == []
    (told,) = notes(data, Recipe.of(None, settings=options | {"kl_cycles": 5}))
    assert "longer than each of the 5 cycles of training (2)" in told
    assert "ends at 1.00" in told
    assert "kl_warmup below 2" in told


def test_a_warmup_longer_than_training_is_told(data):
    (told,) = notes(data, Recipe.of(None, settings={"epochs": 10, "kl_warmup": 40, "beta": 2.0}))
    assert "longer than training (10)" in told
    assert "0.50" in told
    assert "beta below 2" in told
    assert notes(data, Recipe.of(None, settings={"epochs": 10, "kl_warmup": 10})) == []


def test_patience_stops_where_nothing_gets_better(data, monkeypatch):
    values = iter([-3.0, -2.0, -2.0, -2.5, -2.1, -1.0])
    monkeypatch.setattr(
        "pyrovae.training.heldout.elbo", lambda *a, **k: {"elbo": next(values), "rate": 0.0, "distortion": 0.0}
    )
    found = trained(vae(data), data, epochs=10, patience=3)
    assert (found.stopped, found.best_epoch, len(found.metrics)) == ("patience", 2, 5)


def test_best_and_last_weights(data, monkeypatch):
    values, pair, seen = iter([-3.0, -1.0, -2.0]), vae(data), []
    monkeypatch.setattr(
        "pyrovae.training.heldout.elbo", lambda *a, **k: {"elbo": next(values), "rate": 0.0, "distortion": 0.0}
    )
    take = lambda metrics: seen.append({k: v.clone() for k, v in tensors.weights(pair).items()})  # noqa: E731
    found = trained(pair, data, take, epochs=3)
    assert found.best_epoch == 2
    assert same(found.best, seen[1])
    assert same(found.last, seen[2])
    assert not same(found.best, found.last)
    assert same(found.last, tensors.weights(pair))


def test_a_fit_ends_with_the_best_weights_and_keeps_the_last(x, monkeypatch):
    values = iter([-1.0, -2.0, -3.0])
    monkeypatch.setattr(
        "pyrovae.training.heldout.elbo", lambda *a, **k: {"elbo": next(values), "rate": 0.0, "distortion": 0.0}
    )
    run = pyrovae.fit("vae", data=x, epochs=3, **SMALL)
    assert run.results["best_epoch"] == 1
    assert not same(tensors.weights(run.pair), run.last)
    values = iter([-1.0])
    first = pyrovae.fit("vae", data=x, epochs=1, schedule="constant", **SMALL)
    values = iter([-1.0, -2.0])
    assert same(
        tensors.weights(pyrovae.fit("vae", data=x, epochs=2, schedule="constant", **SMALL).pair),
        tensors.weights(first.pair),
    )


def test_noise_is_drawn_anew_at_every_step(data):
    pair, seen = vae(data), []
    forward = pair.guide.forward

    def listen(*batch):
        trace = pyro.poutine.trace(forward).get_trace(*batch)
        z = trace.nodes["z"]
        seen.append(((z["value"] - z["fn"].mean) / z["fn"].stddev).detach())

    pair.guide.forward = listen
    trained(pair, data, epochs=2, batch_size=24)
    noise = [each for each in seen if len(each) == 24]
    assert len(noise) == 4
    assert all(not torch.allclose(a, b) for i, a in enumerate(noise) for b in noise[:i])


@pytest.mark.parametrize("at", [1, 2])
def test_ctrl_c_keeps_the_last_weights(data, at):
    pair = vae(data)

    def press(metrics):
        if metrics["epoch"] == at:
            raise KeyboardInterrupt

    found = trained(pair, data, press, epochs=5)
    assert found.stopped == "interrupted"
    assert same(found.last, tensors.weights(pair))
    assert len(found.metrics) == at
    assert found.best_epoch in (at - 1, at)
    assert found.best.keys() == found.last.keys()


def test_ctrl_c_before_a_finite_held_out_elbo_is_no_error(data, monkeypatch):
    monkeypatch.setattr(
        "pyrovae.training.heldout.elbo", lambda *a, **k: {"elbo": math.nan, "rate": math.nan, "distortion": math.nan}
    )

    def press(metrics):
        raise KeyboardInterrupt

    found = trained(vae(data), data, press, epochs=5)
    assert (found.stopped, found.best_epoch) == ("interrupted", 0)
    assert same(found.best, found.last)


class Pressed(type(progress(False))):
    """Ctrl-C at a chosen moment of the fit."""

    def __init__(self, when):
        super().__init__(Spare(), silent=True)
        self.left = when

    def advance(self, n=1, **figures):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_leaves_a_run_that_can_be_loaded(x, tmp_path, epoch):
    options = SMALL | {"show": Pressed(epoch - 1)}
    run = pyrovae.fit("vae", data=x, epochs=5, out=tmp_path / "run", **options)
    assert run.results["stopped"] == "interrupted"
    assert run.results["epochs"] == epoch
    assert (tmp_path / "run" / "state" / "checkpoint.safetensors").is_file()
    back = pyrovae.load(tmp_path / "run", data=x, device="cpu")
    assert same(tensors.weights(back.pair), tensors.weights(run.pair))
    assert len(back.metrics) == epoch


def test_ctrl_c_before_the_first_step_leaves_the_run_before(x, tmp_path, monkeypatch):
    before = pyrovae.fit("vae", data=x, epochs=3, out=tmp_path / "run", **SMALL)

    def press(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("pyrovae.training.feed.shuffled", press)
    run = pyrovae.fit("vae", data=x, epochs=3, out=tmp_path / "run", overwrite=True, **SMALL)
    assert run.results["stopped"] == "interrupted"
    assert run.path is None
    assert pyrovae.load(tmp_path / "run", data=x, device="cpu").metrics == before.metrics
    assert (tmp_path / "run" / "samples.png").exists()


def test_metrics_have_exactly_these_keys(x, tmp_path):
    run = pyrovae.fit("vae", data=x, epochs=2, batch_size=20, out=tmp_path / "run", **SMALL)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [KEYS, KEYS]
    assert lines == run.metrics
    for line in lines:
        assert line["valid_elbo"] == pytest.approx(-line["valid_rate"] - line["valid_distortion"], abs=1e-4)
    assert [(line["epoch"], line["step"], line["steps"]) for line in lines] == [(1, 3, 3), (2, 6, 3)]


def test_sizes_that_do_not_fit_are_refused_before_anything_is_written(x, tmp_path):
    with pytest.raises(UsageError, match="batch size 49 is larger than the 48 training data: set it to 48 or less"):
        pyrovae.fit("vae", data=x, batch_size=49, epochs=1, out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()
    assert pyrovae.fit("vae", data=x, batch_size=48, epochs=1, **SMALL).metrics[0]["steps"] == 1


def test_a_default_batch_size_is_no_demand(x):
    class Training(TrainConfig):
        batch_size: int | None = 100

    assert batch_size(load(x, DataConfig()), Training()) == 48
    assert batch_size(load(x, DataConfig()), TrainConfig()) == 48
    with pytest.raises(UsageError, match="larger than the 48"):
        batch_size(load(x, DataConfig()), Training(batch_size=100))


def test_epochs_follow_the_size_of_the_data(data):
    assert epochs(data, TrainConfig(epochs=3)) == 3
    assert epochs(data, TrainConfig(batch_size=48)) > epochs(data, TrainConfig(batch_size=12)) >= 10


def test_an_epoch_takes_each_datum_once():
    columns = {"x": torch.arange(10), "y": torch.arange(10) + 100}
    parts = list(stream.batches(columns, shuffled(10, 4)))
    assert [len(part["x"]) for part in parts] == [4, 4, 2]
    x = torch.cat([part["x"] for part in parts])
    assert x.sort().values.tolist() == list(range(10))
    assert x.tolist() != list(range(10))
    assert torch.equal(torch.cat([part["y"] for part in parts]), x + 100)


def test_an_epoch_of_sentences_takes_each_once_among_others_of_its_length():
    lengths = torch.randint(1, 50, (1000,))
    parts = shuffled(1000, 8, lengths)
    assert torch.cat(parts).sort().values.tolist() == list(range(1000))
    assert {len(part) for part in parts} == {8}
    spread = torch.tensor([(lengths[part].max() - lengths[part].min()).item() for part in parts]).float()
    assert spread.mean() < 10
    means = torch.tensor([lengths[part].float().mean() for part in parts])
    assert means.tolist() != means.sort().values.tolist()


def test_frozen_parameters_stay(data):
    pair = vae(data)
    frozen = pair.guide.encoder
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    trained(pair, data, epochs=1)
    assert same(before, frozen.state_dict())


def test_modes_of_a_pair(data):
    pair, modes = vae(data), []
    pair.model.register_forward_pre_hook(lambda module, args: modes.append(module.training))
    trained(pair, data, epochs=1, batch_size=48)
    assert modes.count(True) == 1  # one step; looking at its sites and scoring are in eval mode
    assert modes[-1] is False
    assert not pyrovae.fit(
        vae(data), data=data, epochs=1, **{k: SMALL[k] for k in ("score_samples", "device", "show")}
    ).pair.training


@pytest.fixture
def pieces():
    """50 training data of `linear`: batches of 16, 16, 16 and 2."""
    return load(linear(n=62).x.float(), DataConfig(held_out=6))


def test_the_elbo_of_an_epoch_is_a_mean_over_data_with_a_short_last_batch(pieces):
    """The ELBO of the exact posterior is log p(x), whatever is drawn."""
    exact = linear(n=62)
    (x,) = pieces.split("train", ("x",))
    rows = (exact.x.float()[:, None] == x).all(-1).any(1)
    assert rows.sum() == 50
    (found,) = trained(exact.pair.float(), pieces, epochs=1, batch_size=16, lr=1e-12).metrics
    assert found["steps"] == 4
    assert found["train_elbo"] == pytest.approx(exact.log_p[rows].mean().item(), abs=1e-4)
    assert found["train_elbo"] == pytest.approx(-found["rate"] - found["distortion"], rel=1e-5)


def test_a_global_latent_pays_each_batch_its_share(global_pair, monkeypatch):
    seen = []

    class Listened(Step):
        def gradients(self, rows, kl_weight, fraction):
            seen.append((len(rows["x"]), float(fraction)))
            return super().gradients(rows, kl_weight, fraction)

    monkeypatch.setattr("pyrovae.training.loop.Step", Listened)
    trained(global_pair, load(torch.randn(62, 2), DataConfig(held_out=6)), epochs=1, batch_size=16)
    assert [size for size, _ in seen] == [16, 16, 16, 2]
    assert [share for _, share in seen] == pytest.approx([16 / 50] * 3 + [2 / 50])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_pair_in_double_precision_trains(pieces, name, clip):
    pair = linear(wider=1.5).pair
    before = {key: parameter.detach().clone() for key, parameter in pair.named_parameters()}
    found = trained(pair, pieces, epochs=2, optimizer=name, clip=clip)
    assert (found.stopped, found.skipped) == ("done", 0)
    for key, parameter in pair.named_parameters():
        assert parameter.dtype == torch.float64
        assert not torch.equal(parameter, before[key])
