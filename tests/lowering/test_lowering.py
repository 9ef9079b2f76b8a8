"""Lowered functions: equal to eager Pyro, fresh noise, and back to eager where they would be wrong."""

import itertools
import random
import re

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import FIRST_GUIDES, GUIDES, case
from pyro.infer import Trace_ELBO
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import pyrovae
from pyrovae import Pair
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load
from pyrovae.lowering import CannotLowerError, Lowered, products
from pyrovae.lowering import engine as engine_module
from pyrovae.lowering.capture import record_cuda
from pyrovae.lowering.nested import flat, rebuilder
from pyrovae.objectives.elbo import ELBO
from pyrovae.options import TrainConfig
from pyrovae.runs import tensors as store
from pyrovae.runtime.progress import progress
from pyrovae.runtime.seeding import seeded
from pyrovae.svi import Optimizer, Step
from pyrovae.svi.optimizer import Guarded
from pyrovae.training.loop import train

ONE = torch.ones(())
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
SMALL = {"latent_dim": 2, "hidden": (6,), "score_samples": 2, "device": "cpu", "show": False}


def shifted(batch, count=3):
    return [tuple(tensor.roll(i, 0) for tensor in batch) for i in range(count)]


def lowered_step(pair, batch, K=None, compile=None):
    step = Step(ELBO(pair, K), Optimizer([p for p in pair.parameters() if p.requires_grad]))
    step.lower(shifted(batch), calls=3000, compile=compile)
    return step


def test_sentences_run_eager():
    tried = case("textvae")
    step = lowered_step(tried.pair().train(), tried.batch)
    assert (step.engine.tier, step.engine.reason) == ("eager", "its operations or shapes follow the values of the data")


# Every variant with every guide: the laws "lowering" and "Trace_ELBO" in test_laws.py. Here with particles.
@pytest.mark.parametrize(
    ("name", "guide", "K"),
    [
        *(("vae", spec, 3) for spec in GUIDES),
        *(("vae-conv", spec, None) for spec in FIRST_GUIDES),
        *(("cvae", spec, 1) for spec in FIRST_GUIDES),
        *(("iaf", spec, 3) for spec in FIRST_GUIDES),
    ],
)
def test_lowered_gradients_are_those_of_trace_elbo(name, guide, K):
    tried = case(name, guide)
    pair = tried.pair().train()
    step = lowered_step(pair, tried.batch, K)
    assert (step.engine.tier, step.engine.reason) == ("traced", "")
    torch.manual_seed(3)
    figures, (gradients, scale, bad) = step.engine.call(tried.batch, ONE, ONE)
    torch.manual_seed(3)
    parts = {"num_particles": K, "vectorize_particles": True, "max_plate_nesting": 1} if K else {}
    loss = Trace_ELBO(**parts).differentiable_loss(pair.model, pair.guide, *tried.batch)
    expected = torch.autograd.grad(
        loss / len(tried.batch[0]), list(pair.parameters()), allow_unused=True, materialize_grads=True
    )
    torch.testing.assert_close(figures.elbo, -loss.detach(), rtol=1e-5, atol=0)
    assert (figures.data, scale, bad) == (len(tried.batch[0]), 1, 0)
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_compiled_steps_are_eager_ones_for_pairs_that_differ_in_little():
    """Nothing is taken over from the pair before."""
    for activation in ("tanh", "relu"):
        pair = case("vae", activation=activation).pair()
        step = lowered_step(pair.train(), case("vae").batch, compile=True)
        assert (step.engine.tier, step.engine.reason) == ("compiled", "")
        assert step.engine.call.run is not step.engine.call.graph.forward
        found = []
        for call in (step.engine.call, step.gradients):
            torch.manual_seed(3)
            found.append(call(case("vae").batch, ONE, ONE))
        torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


class Reparametrized(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def noise(self, x):
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("z", dist.Normal(x, self.scale).to_event(1)) - x


def test_noise_is_fresh_at_every_call_and_has_deviation_one():
    module, x = Reparametrized(), torch.randn(100, 200)
    lowered = Lowered(module, module.noise, x)
    draws = [lowered(x) for _ in range(4)]
    for a, b in itertools.combinations(draws, 2):
        assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.03
    for draw in draws:
        assert float(draw.std()) == pytest.approx(1, abs=0.02)
        assert float(draw.mean()) == pytest.approx(0, abs=0.03)


class Affine(nn.Module):
    """p(x | z) = N(x; shift + f(z), 1) with f given."""

    def __init__(self, f):
        super().__init__()
        self.f = f
        self.shift = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(3), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.f(z) + self.shift, 1.0).to_event(1), obs=x)


class Amortized(nn.Module):
    def __init__(self, f=lambda x: x):
        super().__init__()
        self.f = f
        self.net = nn.Linear(3, 3)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.f(self.net(x)), 0.5).to_event(1))


count = itertools.count()
outside = torch.ones(3)

FOLLOWS = "follow the values of the data"
CHANGES = "something else at every call"


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda z: z * random.random(), CHANGES),
        (lambda z: z * (next(count) + 1), CHANGES),
        (lambda z: z * (1 + 1e-6 * next(count)), CHANGES),  # too little to be seen in the results
        (lambda z: z * torch.tensor(1 + 1e-6 * next(count)), CHANGES),
        (lambda z: z * torch.tensor(1j * next(count)).abs(), CHANGES),
        (lambda z: z * 2 if next(count) % 2 else z.tanh(), CHANGES),
        (lambda z: z if z.sum() > 0 else -z, FOLLOWS),
        (lambda z: z * float(z.mean()), FOLLOWS),
        (lambda z: z[z[:, 0] > 0].sum(0).expand(len(z), 3), FOLLOWS),
        (lambda z: z * outside, "neither parameter nor buffer"),
        (lambda z: z * torch.from_numpy(z.detach().numpy()), "torch cannot trace it|follow the values"),
    ],
)
def test_what_changes_between_calls_runs_eager_and_says_why(f, reason):
    pair, x = Pair(Affine(f), Amortized()), torch.randn(20, 3)
    step = lowered_step(pair, (x,))
    assert step.engine.tier == "eager"
    assert re.search(reason, step.engine.reason), step.engine.reason
    assert step.engine.call == step.gradients
    step((x,), ONE / 100, ONE, ONE)
    assert pair.model.shift.abs().sum() > 0


def test_a_site_that_is_drawn_now_and_then_runs_eager():
    drawn = []

    def q(h):
        drawn.append(None)
        return h + pyro.sample("u", dist.Normal(h, 0.5).to_event(1)) if len(drawn) % 2 else h

    def p(z):
        return z + pyro.sample("u", dist.Normal(z, 1.0).to_event(1)) if len(drawn) % 2 else z

    step = lowered_step(Pair(Affine(p), Amortized(q)), (torch.randn(20, 3),))
    assert step.engine.tier == "eager"
    assert CHANGES in step.engine.reason


def test_a_number_frozen_by_the_trace_is_seen_on_another_example():
    """Both traces agree, and the values differ: what numpy gives follows the data and is invisible to a trace."""
    seen = []

    def f(z):
        seen.append(None)
        return z * (1.0 if len(seen) < 5 else 2.0)  # as it was while it was traced, and then not any more

    step = lowered_step(Pair(Affine(f), Amortized()), (torch.randn(20, 3),))
    assert (step.engine.tier, step.engine.reason) == ("eager", "its lowered results differ from those of eager Pyro")


def test_a_graph_that_is_wrong_is_not_used(monkeypatch):
    tried = case("vae")
    true = Lowered.__call__
    for wrong, reason in (
        (
            lambda out: (out[0], out[1]._replace(gradients=(out[1].gradients[0] * 1.01, *out[1].gradients[1:]))),
            "differ",
        ),
        (lambda out: (out[0]._replace(elbo=out[0].elbo * 1.01), out[1]), "differ"),
        (lambda out: (torch.rand(1), out)[1], "other noise"),
    ):
        monkeypatch.setattr(Lowered, "__call__", lambda self, *a, wrong=wrong: wrong(true(self, *a)))
        step = lowered_step(tried.pair().train(), tried.batch)
        assert (step.engine.tier, reason in step.engine.reason) == ("eager", True)


def test_a_compiler_that_fails_leaves_the_traced_graph(monkeypatch, capsys):
    def fails(*arguments, **options):
        raise RuntimeError("no such compiler: g++\nand more")

    monkeypatch.setattr(torch._inductor, "compile", fails)
    data = load(torch.bernoulli(torch.full((60, 16), 0.4)), DataConfig())
    run = pyrovae.fit("vae", data=data, compile=True, epochs=1, **SMALL | {"show": None})
    assert run.results["engine"] == "traced"
    told = capsys.readouterr().err
    assert "because the compiler failed: RuntimeError: no such compiler: g++" in told
    assert "and more" not in told


def test_a_machine_without_a_compiler_trains(monkeypatch, tmp_path):
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        step = lowered_step(case("vae").pair().train(), case("vae").batch, compile=True)
    assert step.engine.tier == "traced"
    assert "the compiler failed" in step.engine.reason


class Normed(nn.Module):
    """Buffers that move, one of them bound anew at every call, and noise in the network."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.net(x), 1.0).to_event(1))


@pytest.mark.parametrize("training", [True, False])
def test_buffers_move_as_in_eager_and_verification_leaves_them(training):
    tried, found = case("vae-normal-learned"), []
    for engine in ("traced", "eager"):
        with seeded(0):
            pair = Pair(tried.pair().model, Normed()).train(training)
        before = {name: tensor.clone() for name, tensor in pair.state_dict().items()}
        step = lowered_step(pair, tried.batch, compile=False if engine == "eager" else None)
        assert step.engine.tier == engine
        assert all(torch.equal(tensor, before[name]) for name, tensor in pair.state_dict().items())
        torch.manual_seed(1)
        calls = pair.guide.calls
        for _ in range(3):
            step(tried.batch, ONE / 100, ONE, ONE)
        step(tuple(tensor[:5] for tensor in tried.batch), ONE / 100, ONE, ONE)  # a short batch, which runs eager
        step(tried.batch, ONE / 100, ONE, ONE)
        assert pair.guide.calls == 5
        assert (pair.guide.calls is calls) == (engine == "traced")
        found.append(pair.state_dict())
    for name, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][name], rtol=1e-4, atol=1e-5)


def test_a_module_that_stands_twice_and_a_parameter_that_is_shared():
    shared = nn.Linear(3, 3)
    pair = Pair(Affine(shared), Amortized(nn.Sequential(shared, nn.Tanh())))
    pair.guide.net.weight = shared.weight
    own = {name: id(parameter) for name, parameter in pair.named_parameters(remove_duplicate=False)}
    x = torch.randn(20, 3)
    step = lowered_step(pair, (x,))
    assert (step.engine.tier, step.engine.reason) == ("traced", "")
    assert own == {name: id(parameter) for name, parameter in pair.named_parameters(remove_duplicate=False)}
    found = []
    for call in (step.engine.call, step.gradients):
        torch.manual_seed(0)
        found.append(call((x,), ONE, ONE)[1].gradients)
    assert len(found[0]) == 4
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_other_shapes_run_the_function_itself():
    calls = []

    def twice(x):
        calls.append(len(x))
        return 2 * x

    lowered = Lowered(nn.Linear(1, 1), twice, torch.zeros(4))
    calls.clear()
    assert torch.equal(lowered(torch.ones(4)), torch.full((4,), 2.0))
    assert calls == []
    assert torch.equal(lowered(torch.ones(3)), torch.full((3,), 2.0))
    assert torch.equal(lowered(torch.ones(4).double()), torch.full((4,), 2.0).double())
    assert calls == [3, 4]


def test_what_cannot_be_traced_is_said():
    with pytest.raises(CannotLowerError, match=r"torch cannot trace it \(ValueError: no"):
        Lowered(nn.Linear(1, 1), lambda x: (_ for _ in ()).throw(ValueError("no")), ONE)


@pytest.fixture
def x():
    return torch.bernoulli(torch.full((60, 1, 4, 4), 0.4))


def test_tiers_end_with_the_same_weights_and_each_repeats_itself(x, monkeypatch):
    monkeypatch.setattr(engine_module, "FEW", 0)
    ends = {}
    for mode in (False, None, True):
        runs = [pyrovae.fit("vae", data=x, epochs=4, batch_size=10, compile=mode, **SMALL) for _ in range(2)]
        first, second = (store.weights(run.pair) for run in runs)
        assert all(torch.equal(first[name], second[name]) for name in first)
        ends[runs[0].results["engine"]] = first
    assert list(ends) == ["eager", "traced", "compiled"]
    for name, tensor in ends["eager"].items():
        torch.testing.assert_close(ends["traced"][name], tensor, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ends["compiled"][name], tensor, rtol=1e-3, atol=1e-4)


def test_a_fit_compiles_once_and_shows_it(x, monkeypatch, capsys):
    seen, true = [], torch._inductor.compile
    monkeypatch.setattr(torch._inductor, "compile", lambda *a, **k: (seen.append(1), true(*a, **k))[1])
    run = pyrovae.fit("vae", data=x, epochs=3, batch_size=10, compile=True, **SMALL | {"show": None})
    assert seen == [1]  # 48 data: four batches of ten and one of eight
    assert run.results["engine"] == "compiled"
    assert run.results["lowering_seconds"] > 0
    assert re.search(r"^compiled in \d+\.\d seconds$", capsys.readouterr().err, re.MULTILINE)


def test_a_long_fit_is_compiled_and_a_short_one_is_not():
    tried = case("vae")
    seen = []
    for calls in (engine_module.FEW - 1, engine_module.FEW, 10**7):
        pair = tried.pair().train()
        step = Step(ELBO(pair), Optimizer(list(pair.parameters())))
        seen.append(step.lower(shifted(tried.batch), calls).tier)
    assert seen == ["eager", "traced", "compiled"]


class Syncs(TorchDispatchMode):
    """Counts what would wait for a device: numbers that go to Python."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("compile", [False, None])
def test_an_epoch_syncs_as_often_with_many_steps_as_with_few(x, compile, monkeypatch):
    monkeypatch.setattr(engine_module, "FEW", 0)
    data = load(x, DataConfig())
    variant = pyrovae.registry.variant("vae")
    found = {}
    for size in (24, 4):
        pair = variant.build(
            variant.config(latent_dim=2, hidden=(6,)), data.fields, pyrovae.registry.families.family("diagonal")
        )
        at = []
        with Syncs() as syncs, seeded(0):
            options = {"epochs": 3, "batch_size": size, "clip": 1.0, "kl_warmup": 2, "compile": compile}
            take = lambda metrics, syncs=syncs, at=at: at.append(syncs.count)  # noqa: E731
            train(pair, data, TrainConfig(**options), torch.device("cpu"), progress(False), take)
        found[size] = [b - a for a, b in itertools.pairwise(at)]
    assert found[24] == found[4]
    assert found[24][0] > 0  # that they are counted at all


def stand_in(function):
    """Runs a function again where there is no GPU, into the tensors that the first run gave."""
    for _ in range(3):
        function()
    out = function()

    def replay():
        for old, new in zip(flat(out), flat(function()), strict=True):
            old.copy_(new)

    return replay, out


@pytest.mark.parametrize("record", [stand_in, pytest.param(record_cuda, marks=CUDA)])
def test_a_recorded_step_is_the_step(record):
    device = "cuda" if record is record_cuda else "cpu"
    tried, ends = case("vae-normal-learned"), []
    batch = tuple(tensor.to(device) for tensor in tried.batch)
    one = ONE.to(device)
    for recorded in (False, True):
        with seeded(0, device):
            pair = Pair(tried.pair().model, Normed()).to(device).train()
        step = Step(ELBO(pair), Optimizer(list(pair.parameters()), clip=5.0))
        step.lower(shifted(batch), calls=3000)
        if device == "cpu" and recorded:
            before = {name: tensor.clone() for name, tensor in pair.state_dict().items()}
            step.tiers.capture((batch, one, one), step.optimizer.state().values(), record)
            assert all(torch.equal(tensor, before[name]) for name, tensor in pair.state_dict().items())
            assert step.optimizer.skipped == 0
        if not recorded:
            step.tiers.captured = None
        assert step.engine.cuda_graph == (recorded or device == "cuda")
        figures = []
        with seeded(1, device):
            for i in range(4):
                found = step(tuple(tensor.roll(i, 0) for tensor in batch), one / 100, one, one)
                figures.append([float(figure) for figure in found])
            step(tuple(tensor[:5] for tensor in batch), one / 100, one, one)  # a short batch
            step(batch, one / 100, one, one)
        ends.append((figures, pair.state_dict(), step.optimizer.state()))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-5)
    assert len({figure[0] for figure in ends[0][0]}) == 4


def test_a_recording_that_fails_or_is_wrong_is_left_out():
    def fails(function):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    def wrong(function):
        return lambda: None, function()

    tried = case("vae")
    for record, reason in ((fails, "cannot be recorded as a CUDA graph"), (wrong, "does something else")):
        pair = tried.pair().train()
        step = lowered_step(pair, tried.batch)
        before = {name: tensor.clone() for name, tensor in pair.state_dict().items()}
        step.tiers.capture((tried.batch, ONE, ONE), step.optimizer.state().values(), record)
        assert step.tiers.captured is None
        assert reason in step.engine.reason
        assert all(torch.equal(tensor, before[name]) for name, tensor in pair.state_dict().items())
        step(tried.batch, ONE / 100, ONE, ONE)


@CUDA
@pytest.mark.parametrize("precision", ["32", "tf32", "bf16"])
def test_a_fit_on_a_gpu_is_compiled_and_one_graph(x, precision):
    run = pyrovae.fit(
        "vae", data=x, compile=True, epochs=4, batch_size=10, precision=precision, **SMALL | {"device": "cuda"}
    )
    assert (run.results["engine"], run.results["cuda_graph"]) == ("compiled", True)


def test_onednn_is_as_exact_as_float32_and_the_setting_is_put_back():
    a, b = torch.randn(300, 400), torch.randn(400, 500)
    exact = a.double() @ b.double()
    if not products.faster():
        pytest.skip("no CPU on which oneDNN is chosen")
    before = products.SETTING.fp32_precision
    first, second = products.OneDNN(), products.OneDNN()
    first.__enter__()
    second.__enter__()  # as of another thread
    first.__exit__(None, None, None)
    assert (a @ b - exact).norm() / exact.norm() < 1e-6
    second.__exit__(None, None, None)
    assert before == products.SETTING.fp32_precision


@pytest.mark.skipif(products.SETTING is None, reason="this torch cannot send products to oneDNN")
@pytest.mark.parametrize(("rows", "chosen"), [(512, True), (4, False)])
def test_large_products_go_to_onednn(monkeypatch, rows, chosen):
    monkeypatch.setattr(products, "faster", lambda: True)
    net = nn.Sequential(nn.Linear(80, 90), nn.Linear(90, 100))
    lowered = Lowered(net, net.forward, torch.randn(rows, 80))
    assert lowered.flops() == 2 * rows * (80 * 90 + 90 * 100)
    assert isinstance(lowered.products, products.OneDNN) == chosen
    x = torch.randn(rows, 80)
    # With matrix units for bfloat16 it would not be chosen: there it takes the products in 8 bits.
    tolerance = 2e-2 if torch.cpu._is_amx_tile_supported() else 1e-5
    torch.testing.assert_close(lowered(x), net(x).detach(), rtol=10 * tolerance, atol=tolerance)


def test_nested_tensors_are_taken_apart_and_put_together():
    a, b, c, d = (torch.full((), float(i)) for i in range(4))

    nested = ({"x": a, "y": (b,)}, [c], Guarded((d, a), b, c), ())
    tensors = flat(nested)
    assert [float(tensor) for tensor in tensors] == [0, 1, 2, 3, 0, 1, 2]
    again = rebuilder(nested)(iter(tensors))
    assert again == nested
    assert type(again[2]) is Guarded
    assert type(again[1]) is list
