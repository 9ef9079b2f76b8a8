"""What the optimizer keeps between two steps: counts of skipped steps, and a state that can be put back."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case
from torch import nn

from pyrovae import Pair
from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.objectives.elbo import ELBO
from pyrovae.svi import Optimizer, Step
from pyrovae.svi.rmsprop import RMSProp

ONE = torch.ones(())
RATE = torch.tensor(0.1)
NAMES = ["adam", "adamw", "adamax", "rmsprop"]


def parameters(*shapes):
    return [nn.Parameter(torch.ones(shape)) for shape in shapes or [(3,), (2, 4), ()]]


def moved(optimizer, *, bad=False):
    gradients = [torch.randn_like(parameter) for parameter in optimizer.parameters]
    if bad:
        gradients[0] = gradients[0] * math.nan
    optimizer.update(optimizer.guard(gradients), RATE)


@pytest.mark.parametrize("name", NAMES)
def test_bad_steps_in_a_row_are_counted_without_a_host_sync(name):
    optimizer = Optimizer(parameters(), name)
    tensors, seen = (optimizer.skipped, optimizer.streak, optimizer.longest), []
    for bad in (0, 1, 1, 0, 1, 0):
        moved(optimizer, bad=bool(bad))
        seen.append([tensor.item() for tensor in tensors])
    assert seen == [[0, 0, 0], [1, 1, 1], [2, 2, 2], [2, 0, 2], [3, 1, 2], [3, 0, 2]]
    optimizer.longest.zero_()
    moved(optimizer, bad=True)
    assert [tensor.item() for tensor in tensors] == [4, 1, 1]


class Constant(nn.Module):
    """p(x | z) with a term of its own that no parameter moves."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))
        self.register_buffer("term", torch.zeros(()))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z + self.shift, 1.0).to_event(1), obs=x)
            pyro.factor("term", self.term.expand(len(x)))


class Amortized(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.net(x), 1.0).to_event(1))


@pytest.mark.parametrize("lowered", [False, True])
@pytest.mark.parametrize("term", [math.inf, -math.inf, math.nan])
def test_a_loss_that_is_not_finite_skips_the_step_though_its_gradient_is(term, lowered):
    pair, x = Pair(Constant(), Amortized()), torch.randn(7, 2)
    step = Step(ELBO(pair), Optimizer(list(pair.parameters())))
    if lowered:
        step.lower([(x.roll(i, 0),) for i in range(3)], calls=3000)
        assert step.engine.tier == "traced"
    step((x,), RATE, ONE, ONE)
    before = {name: tensor.clone() for name, tensor in step.optimizer.state().items()}
    weights = [parameter.detach().clone() for parameter in pair.parameters()]
    pair.model.term.fill_(term)
    _, guarded = step.engine.call((x,), ONE, ONE)
    assert all(gradient.isfinite().all() for gradient in guarded.gradients)
    figures = step((x,), RATE, ONE, ONE)
    assert all(torch.equal(a, b) for a, b in zip(pair.parameters(), weights, strict=True))
    after = step.optimizer.state()
    assert [after.pop(name).item() for name in ("skipped", "streak", "longest")] == [1, 1, 1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert [figure.item() for figure in figures] == [0, 0, 0, 0]


@pytest.mark.parametrize("dtypes", [(torch.float32,), (torch.float32, torch.float64)])
@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_is_put_back_goes_on_bit_for_bit(name, dtypes):
    def fresh():
        return [nn.Parameter(torch.ones(3, 2, dtype=dtypes[i % len(dtypes)])) for i in range(3)]

    whole, first = (Optimizer(fresh(), name, clip=1.0) for _ in range(2))
    for optimizer in (whole, first):
        torch.manual_seed(1)
        for bad in (0, 0, 1):
            moved(optimizer, bad=bool(bad))
    saved = {key: value.clone() for key, value in first.state().items()}
    second = Optimizer([nn.Parameter(parameter.detach().clone()) for parameter in first.parameters], name, clip=1.0)
    tensors = {key: id(value) for key, value in second.state().items()}
    second.load_state(saved)
    assert {key: id(value) for key, value in second.state().items()} == tensors  # a CUDA graph holds them
    for optimizer in (whole, second):
        torch.manual_seed(2)
        for bad in (1, 0, 0):
            moved(optimizer, bad=bool(bad))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters, second.parameters, strict=True))
    ours, theirs = second.state(), whole.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert (second.skipped, second.streak, second.longest) == (2, 0, 2)
    assert saved.keys() == ours.keys()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_rmsprop_for_a_gpu_is_that_of_torch(momentum, weight_decay):
    """Scaled gradients, steps that are skipped, and the names of the state."""
    ours, theirs = parameters(), parameters()
    group = RMSProp(ours, [0, 1, 2], 1e-3, weight_decay, momentum)
    reference = torch.optim.RMSprop(theirs, lr=0.1, eps=1e-3, weight_decay=weight_decay, momentum=momentum)
    for bad in (0, 1, 0, 0, 1):
        gradients = [torch.randn_like(parameter) for parameter in ours]
        if bad:
            gradients[1] = gradients[1] * math.inf
        else:
            for parameter, gradient in zip(theirs, gradients, strict=True):
                parameter.grad = gradient / 2
            reference.step()
        with torch.no_grad():
            group.update(gradients, torch.tensor(2.0), torch.tensor(float(bad)), RATE)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    optimizer = Optimizer(theirs, "rmsprop", momentum=momentum)
    found = {f"{i}.{name}": value for i, values in group.state() for name, value in values}
    assert found.keys() | {"skipped", "streak", "longest"} == optimizer.state().keys()
    for name, value in reference.state_dict()["state"][1].items():
        torch.testing.assert_close(found[f"1.{name}"], value, rtol=1e-5, atol=1e-6)


def test_momentum_is_of_rmsprop_alone():
    with pytest.raises(UsageError, match="momentum is of optimizer='rmsprop', not of adam: leave it out"):
        Optimizer(parameters(), "adam", momentum=0.9)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_before_the_first_step_has_all_its_names(name):
    a, b = Optimizer(parameters(), name), Optimizer(parameters(), name)
    names = set(a.state())
    moved(a)
    assert set(a.state()) == names
    a.load_state(b.state())
    assert all(tensor.abs().sum() == 0 for tensor in a.state().values())


@pytest.mark.parametrize(
    ("name", "shapes"), [("adamax", [(3,), (2,)]), ("adam", [(3,)]), ("adam", [(3,), (4,)]), ("adam", [(3,), (2, 1)])]
)
def test_a_state_of_something_else_is_refused_and_changes_nothing(name, shapes):
    optimizer, other = Optimizer(parameters((3,), (2,))), Optimizer(parameters(*shapes), name)
    moved(optimizer)
    moved(other)
    before = {key: value.clone() for key, value in optimizer.state().items()}
    with pytest.raises(PyrovaeError, match="take the same model, guide"):
        optimizer.load_state(other.state())
    assert all(torch.equal(value, before[key]) for key, value in optimizer.state().items())
    doubled = {key: value.double() for key, value in before.items()}
    with pytest.raises(PyrovaeError, match="float64"):
        optimizer.load_state(doubled)


def test_a_variant_trains_as_before_with_the_loss_in_the_guard():
    """A loss that is finite changes nothing in the guard."""
    tried = case("vae")
    pair = tried.pair().train()
    step = Step(ELBO(pair), Optimizer(list(pair.parameters())))
    torch.manual_seed(3)
    guarded = step.gradients(tried.batch, ONE, ONE)[1]
    alone = step.optimizer.guard(guarded.gradients)
    assert torch.equal(guarded.bad, alone.bad) and torch.equal(guarded.scale, alone.scale)
    assert guarded.bad == 0


def odd_gradients():
    """Of every layout that autograd gives: as the parameter, transposed, expanded, and shared by two parameters."""
    shared = torch.randn(4, 3)
    return [torch.randn(2, 3), torch.randn(3, 5).t(), torch.randn(4, 3)[:1].expand(4, 3), shared, shared, shared[1:3]]


@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("gaps", [False, True], ids=["dense", "gaps"])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_that_of_torch_for_a_gradient_of_any_layout(name, gaps, clip):
    torch.manual_seed(0)
    values = [torch.randn(shape) for shape in [(2, 3), (5, 3), (4, 3), (4, 3), (4, 3), (2, 3)]]
    values[3] = values[3].t().contiguous().t()  # a parameter that is itself laid out by columns
    if gaps:
        values[4] = torch.randn(4, 7)[:, :3]
    theirs = [nn.Parameter(value.clone(memory_format=torch.contiguous_format)) for value in values]
    ours = [nn.Parameter(value) for value in values]
    optimizer = Optimizer(ours, name, lr=0.1, clip=clip)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax}
    reference = kinds.get(name, torch.optim.RMSprop)(theirs, lr=0.1, weight_decay=0.0)
    for _ in range(3):
        gradients = odd_gradients()
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone(memory_format=torch.contiguous_format)
        if clip:
            torch.nn.utils.clip_grad_norm_(theirs, clip)
        optimizer.update(optimizer.guard(gradients), RATE)
        reference.step()
    for i, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        torch.testing.assert_close(mine, expected, msg=lambda text, i=i: f"parameter {i}: {text}")


class Transposed(nn.Module):
    """p(x | z) whose weight has a gradient of other strides."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 2, generator=torch.Generator().manual_seed(1)))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            mean = torch.einsum("...i,oi->...o", z, self.weight)
            pyro.sample("x", dist.Normal(mean, 0.5).to_event(1), obs=x)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.encoder = nn.Linear(6, 4)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            loc, raw = self.encoder(x).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, nn.functional.softplus(raw) + 0.1).to_event(1))


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_a_pair_with_a_transposed_weight_trains_as_with_torchs_adam(compile):
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(3))
    trained = []
    for fused in (True, False):
        pair = Pair(Transposed(), Linear())
        optimizer = Optimizer(list(pair.parameters()), "adam")
        step = Step(ELBO(pair), optimizer)
        if compile:
            step.lower([(x,), (x.flip(0),)], calls=10, compile=True)
            assert step.engine.tier == "compiled"
        reference = torch.optim.Adam(pair.parameters(), lr=0.1)
        torch.manual_seed(4)
        for _ in range(5):
            if fused:
                step((x,), RATE, ONE, ONE)
                continue
            _, guarded = step.engine.call((x,), ONE, ONE)
            for parameter, gradient in zip(pair.parameters(), guarded.gradients, strict=True):
                parameter.grad = gradient.clone(memory_format=torch.contiguous_format)
            reference.step()
        trained.append([parameter.detach() for parameter in pair.parameters()])
    for ours, theirs in zip(*trained, strict=True):
        torch.testing.assert_close(ours, theirs)
