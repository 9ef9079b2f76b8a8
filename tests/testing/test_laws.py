"""The laws of `pyrovae.testing` over every variant and guide; and that each law is red on a pair that breaks it."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import GUIDES, VARIANTS, case, small
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError, nets, registry
from pyrovae.pairs.pair import announce
from pyrovae.pairs.structure import structure
from pyrovae.testing import Row, check, sites_table
from pyrovae.testing.law import LAWS

NAMES = [law.name for law in LAWS]


def told(laws):
    """{name: what happened} of the laws that did not pass."""
    return {law.name: (law.passed, law.detail) for law in laws if law.passed is not True}


def test_every_law_holds(case):
    text = case.fields["x"].kind == "tokens"
    eager = "does not apply: training runs eager Pyro, because its operations or shapes follow the values of the data"
    assert told(check(case.make, case.batch, case.fields)) == ({"lowering": (None, eager)} if text else {})


def test_laws_are_tried_on_everything_there_is():
    assert {name for name, _, _ in VARIANTS.values()} == set(registry.describe("models"))
    assert {spec.split(":")[0] for spec in GUIDES} == set(registry.describe("guides"))
    assert NAMES[0] == "structure"
    assert len(set(NAMES)) == len(NAMES) == 16


class Model(nn.Module):
    """A model that obeys, with a hook for each way to break it."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Linear(2, 6)

    def decode(self, z, x):
        return self.decoder(z)

    def observe(self, h, x):
        pyro.sample("x", dist.Normal(h, 1.0).to_event(1), obs=x)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            self.observe(self.decode(z, x), x)


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(6, 2)

    def encode(self, x):
        return self.encoder(x)

    def draw(self, h):
        pyro.sample("z", dist.Normal(h, 1.0).to_event(1))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            self.draw(self.encode(x))


class NoEvent(Model):
    def observe(self, h, x):
        pyro.sample("x", dist.Normal(h, 1.0), obs=x)


class Unnamed(Model):
    def observe(self, h, x):
        pyro.sample("pixels", dist.Normal(h, 1.0).to_event(1), obs=x)


class OutsidePlate(Model):
    def forward(self, x):
        pyro.sample("b", dist.Normal(x.new_zeros(2), 1.0).to_event(1), obs=x.new_zeros(2))
        super().forward(x)


class OtherLatent(Guide):
    def draw(self, h):
        pyro.sample("code", dist.Normal(h, 1.0).to_event(1))


class Observes(Guide):
    def draw(self, h):
        super().draw(h)
        pyro.sample("u", dist.Normal(h, 1.0).to_event(1), obs=h.detach())


class NoGradient(dist.Normal):
    has_rsample = False


class Score(Guide):
    def draw(self, h):
        pyro.sample("z", NoGradient(h, 1.0).to_event(1))


class Reads(Model):
    def decode(self, z, x):
        return self.decoder(z) + 0.1 * x


class ReadsMean(Model):
    def decode(self, z, x):
        return self.decoder(z) + 0.1 * x.mean()


class Centred(Guide):
    def encode(self, x):
        return self.encoder(x - x.mean(0))


class Recurrent(Model):
    """A GRU on (*L, 2): with particles it reads (K, B, 2) as (time, data)."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(2, 2)

    def decode(self, z, x):
        one_by_one = z.unsqueeze(0) if z.dim() == 2 else z
        return self.decoder(self.gru(one_by_one)[0].reshape(z.shape))


class Unused(Model):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)


class InStore(Model):
    def decode(self, z, x):
        return self.decoder(z) + pyro.param("shift", torch.zeros(()))


class Announces(Model):
    """As in Pyro's tutorials."""

    def decode(self, z, x):
        pyro.module("decoder", self.decoder)
        return self.decoder(z)


class Negative(Guide):
    """Without a softplus."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.encoder(x)[..., :2], -torch.ones(2)).to_event(1))


class Sure(Model):
    """Without a sigmoid."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            probs = 0 * self.decoder(z) + 1.5
            pyro.sample("x", dist.Bernoulli(probs, validate_args=False).to_event(1), obs=(x > 0).float())


class Infinite(Model):
    def decode(self, z, x):
        return self.decoder(z) + torch.sqrt(0 * self.decoder.bias)


class Unregistered(Model):
    def __init__(self):
        super().__init__()
        self.shift = [torch.randn(6)]

    def decode(self, z, x):
        return self.decoder(z) + self.shift[0]


class Counts(Model):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def decode(self, z, x):
        self.calls.add_(1)
        return self.decoder(z)


class Single(Model):
    def decode(self, z, x):
        return self.decoder(z.float())


class Raises(Model):
    def decode(self, z, x):
        raise RuntimeError("no\nmore lines")


@pytest.mark.parametrize(
    ("model", "guide", "law", "says"),
    [
        (NoEvent, Guide, "structure", "to_event"),
        (Unnamed, Guide, "structure", "'pixels'"),
        (OutsidePlate, Guide, "structure", "'b'"),
        (Model, OtherLatent, "structure", "'code', 'z'"),
        (Model, Observes, "structure", "'u'"),
        (Model, Score, "structure", "'z'"),
        (Raises, Guide, "structure", "RuntimeError: no; give data"),
        (Reads, Guide, "leak", "'x'"),
        (ReadsMean, Guide, "leak", "'x'"),
        (Model, Centred, "rows", "mixes"),
        (Recurrent, Guide, "particles", "fold"),
        (Unused, Guide, "parameters move", "model.spare.weight, model.spare.bias (2 of 6"),
        (Infinite, Guide, "parameters move", "not finite"),
        (InStore, Guide, "structure", "'shift'"),
        (Announces, Guide, "pyro.infer.SVI", "puts 'decoder' into the global param store"),
        (Model, Negative, "arguments", "site 'z': scale of its Normal is -1, and must be "),
        (Sure, Guide, "arguments", "site 'x': probs of its Bernoulli is 1.5, and must be "),
        (Unregistered, Guide, "save and load", "buffer"),
        (Counts, Guide, "evaluation", "model.calls"),
        (Single, Guide, "float64", "RuntimeError: "),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_law_is_red_where_it_is_broken(model, guide, law, says):
    found = told(check(lambda: Pair(model(), guide()), [torch.randn(9, 6)]))
    assert found[law][0] is False
    assert says in found[law][1]
    assert "\n" not in found[law][1]


def test_the_pair_of_the_red_ones_obeys():
    assert told(check(lambda: Pair(Model(), Guide()), [torch.randn(9, 6)])) == {}


@pytest.mark.parametrize(("ours", "says"), [("loss", "our loss"), ("gradient", "the gradient of")])
def test_the_law_on_trace_elbo_is_red_where_our_elbo_is_wrong(monkeypatch, ours, says):
    right = pyrovae.objectives.elbo.rate
    scale = {"loss": lambda rate: rate + 0.1, "gradient": lambda rate: rate.detach()}[ours]
    monkeypatch.setattr("pyrovae.objectives.elbo.rate", lambda *a, **k: scale(right(*a, **k)))
    found = told(check(lambda: Pair(Model(), Guide()), [torch.randn(9, 6)]))
    assert list(found) == ["Trace_ELBO"]
    assert says in found["Trace_ELBO"][1]


def test_the_law_on_evaluation_is_red_where_scoring_moves_the_generator(monkeypatch):
    monkeypatch.setattr("pyrovae.evaluation.elbo", lambda pair, batch: torch.randn(1))
    assert "generator" in told(check(lambda: Pair(Model(), Guide()), [torch.randn(9, 6)]))["evaluation"][1]


def test_laws_that_need_a_weight_a_datum_do_not_apply_to_a_global_latent(global_pair):
    found = told(check(global_pair, [torch.randn(9, 2)]))
    assert found.pop("structure")[0] is False
    assert all(passed is None and "'b'" in detail for passed, detail in found.values())
    assert set(found) == {"rows", "particles", "float64", "normaliser", "save and load", "evaluation"}


def test_a_constructor_that_fails_is_one_sentence():
    laws = check(lambda: 1 / 0, [torch.randn(9, 6)])
    assert [law.name for law in laws] == NAMES
    assert laws[0].passed is False
    assert laws[0].detail.startswith("ZeroDivisionError: division by zero: ")
    assert {law.passed for law in laws[1:]} == {None}


def test_what_is_given_to_check_is_looked_at():
    with pytest.raises(UsageError, match="at least 2"):
        check(Pair(Model(), Guide()), [torch.randn(1, 6)])
    assert check(Pair(Model(), Guide()), [torch.randn(9, 6)])[0].passed is True
    assert check(Pair(Model(), Guide()), [torch.randn(9, 6)] * 2)[0].detail.startswith(
        "the batch has 2 tensors, and the pair reads x: give one for each"
    )
    pair = Pair(Model(), Guide(), inputs=("x", "y"))
    assert "[8, 9] rows" in check(pair, [torch.randn(9, 6), torch.randn(8)])[0].detail
    assert check(lambda: nn.Linear(1, 1), [torch.randn(9, 6)])[0].detail.startswith(
        "a Linear was made, and must be a pyrovae.Pair(model, guide, inputs)"
    )
    fields = {"x": pyrovae.data.Field((2, 3), "real")}
    assert "event shape (6,)" in check(Pair(Model(), Guide()), [torch.randn(9, 6)], fields)[0].detail


def test_check_leaves_the_process_and_the_pair_alone():
    pair = case("vae", "iaf").pair().train()
    before = {name: tensor.clone() for name, tensor in pair.state_dict().items()}
    torch.manual_seed(5)
    pyro.param("mine", torch.ones(()))
    try:
        state, valid = torch.get_rng_state(), pyro.infer.util.is_validation_enabled()
        assert told(check(pair, case("vae").batch)) == {}
        assert torch.equal(state, torch.get_rng_state())
        assert pyro.infer.util.is_validation_enabled() == valid
        assert list(pyro.get_param_store().keys()) == ["mine"]
        assert pair.training
        assert torch.get_default_dtype() == torch.float32
        assert all(torch.equal(tensor, before[name]) for name, tensor in pair.state_dict().items())
    finally:
        pyro.clear_param_store()


def test_sites_table():
    cvae = case("cvae", "iaf:hidden=8")
    assert sites_table(cvae.pair(), cvae.batch) == [
        Row("z", "latent", "data", "(13,)", "(3,)", "Normal", "TransformedDistribution"),
        Row("x", "generated", "data", "(13,)", "(1, 8, 8)", "Bernoulli", "-"),
        Row("y", "condition", "-", "(13,)", "()", "-", "-"),
    ]
    x = torch.randn(4, 6)
    assert [row.kind for row in sites_table(Pair(Unnamed(), OtherLatent()), [x])] == [
        "latent",
        "unnamed",
        "guide only",
        "condition",
    ]


def test_structure_of_a_broken_pair_is_refused_where_it_matters(global_pair):
    x = torch.randn(4, 6)
    assert structure(Pair(Model(), Guide()), [x]).latent == ["z"]
    with pytest.raises(PyrovaeError, match=r"\['b'\] stand outside"):
        pyrovae.log_likelihood(global_pair, [torch.randn(4, 2)], samples=2)


@pytest.mark.parametrize("activation", ["tanh", "gated"])
@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_networks_take_any_left_dims(net, activation):
    fields, columns = small("colour")
    config = nets.NetConfig(net=net, hidden=(9,), channels=(3, 4), activation=activation)
    encoder, decoder = nets.encoder(fields["x"], config), nets.decoder(5, fields["x"], 2, config)
    resnet, back = nets.ResNetEncoder((3, 9, 6), (4, 4), 9), nets.ResNetDecoder(5, (4, 4), (6, 9, 6))
    x, z = columns["x"][:12], torch.randn(12, 5)
    for network, value, out in ((encoder, x, (9,)), (resnet, x, (9,)), (decoder, z, (6, 9, 6)), (back, z, (6, 9, 6))):
        plain = network(value)
        assert plain.shape == (12, *out)
        torch.testing.assert_close(network(value.unflatten(0, (3, 2, 2))), plain.unflatten(0, (3, 2, 2)))
        torch.testing.assert_close(network(value[0]), plain[0])
    for label in (nets.embed(fields["y"]), nets.embed(fields["y"], 2)):
        assert label(columns["y"].expand(3, 13)).shape == (3, 13, label.features)
        assert (label(torch.tensor(-1)) == 0).all()


def test_gated_layers_are_their_formula():
    net, x = nets.mlp([5, 7, 3], "gated"), torch.randn(4, 5)
    first, second = net[0], net[2]
    value, gate = (torch.nn.functional.linear(x, first.weight[i : i + 7], first.bias[i : i + 7]) for i in (0, 7))
    h = value / (1 + (-gate).exp())
    value, gate = (torch.nn.functional.linear(h, second.weight[i : i + 3]) for i in (0, 3))
    torch.testing.assert_close(net(x), value * gate.sigmoid())
    encoder = nets.ConvEncoder((2, 8, 8), (3,), 5, "gated").net
    image = torch.randn(4, 2, 8, 8)
    both = torch.nn.functional.conv2d(image, encoder[0].weight, encoder[0].bias, stride=2, padding=1)
    torch.testing.assert_close(encoder[1](both), both[:, :3] * both[:, 3:].sigmoid())


def test_each_part_of_a_gated_layer_starts_as_a_layer_of_its_own():
    """The bounds of Glorot, and torch's of a convolution: by the sizes of the part."""
    decoder = nets.ConvDecoder(50, (40, 30), (1, 8, 8), "gated").net
    encoder = nets.ConvEncoder((10, 8, 8), (40,), 30, "gated").net
    glorot = lambda n_in, n_out: (6 / (n_in + n_out)) ** 0.5  # noqa: E731
    for layer, bound in (
        (nets.mlp([50, 70], "gated")[0], glorot(50, 70)),
        (encoder[0], (9 * 10) ** -0.5),
        (encoder[3], glorot(40 * 16, 30)),
        (decoder[0], glorot(50, 40 * 4)),
        (decoder[3], (9 * 30) ** -0.5),
        (decoder[5], 9**-0.5),
    ):
        assert 0.95 * bound < layer.weight.abs().max() <= 1.001 * bound


def test_a_program_of_two_pairs_announces_once():
    model = Model()
    Pair(model, Guide()), Pair(model, Guide())
    assert list(model._forward_pre_hooks.values()).count(announce) == 1


def test_a_pair_in_double_precision_leaves_the_default_dtype_alone():
    try:
        laws = check(Pair(Model(), Guide()).double(), [torch.randn(9, 6, dtype=torch.float64)])
        assert torch.get_default_dtype() == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    assert told(laws) == {}
