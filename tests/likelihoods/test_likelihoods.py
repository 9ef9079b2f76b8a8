"""Likelihoods against torch's formulas; sentences against the sum over their words, and over all sentences."""

import itertools
import math

import pytest
import torch
from conftest import case, small
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from pyrovae import UsageError
from pyrovae.data import Field
from pyrovae.likelihoods import Autoregressive, Bernoulli, LikelihoodConfig, Normal, likelihood
from pyrovae.likelihoods.normal import SMALLEST
from pyrovae.pairs.traces import draw, log_weights

IMAGE = Field((1, 8, 8), "binary")
COLOUR = Field((3, 9, 6), "unit")
VECTOR = Field((6,), "real")


def test_bernoulli():
    h, x = torch.randn(2, 5, 1, 8, 8), torch.bernoulli(torch.full((5, 1, 8, 8), 0.5))
    p = Bernoulli(IMAGE)(h)
    assert (p.batch_shape, p.event_shape) == ((2, 5), (1, 8, 8))
    wanted = -binary_cross_entropy_with_logits(h, x.expand_as(h), reduction="none").sum((-3, -2, -1))
    torch.testing.assert_close(p.log_prob(x), wanted)
    torch.testing.assert_close(p.mean, h.sigmoid())


@pytest.mark.parametrize("scale", ["fixed", "learned", "pixel"])
def test_normal(scale):
    family = Normal(COLOUR, scale, sigma=0.3)
    h, x = torch.randn(2, 5, family.outputs * 3, 9, 6), torch.rand(5, 3, 9, 6)
    if scale == "learned":
        with torch.no_grad():
            family.raw += 0.7
    p = family(h)
    assert (p.batch_shape, p.event_shape) == ((2, 5), (3, 9, 6))
    start = math.log(math.expm1(0.3 - SMALLEST))
    loc = h[..., :3, :, :]
    sigma = {
        "fixed": torch.tensor(0.3),
        "learned": SMALLEST + softplus(torch.tensor(start + 0.7)),
        "pixel": SMALLEST + softplus(h[..., 3:, :, :] + start),
    }[scale]
    wanted = torch.distributions.Normal(loc, sigma.expand_as(loc)).log_prob(x).sum((-3, -2, -1))
    torch.testing.assert_close(p.log_prob(x), wanted)
    torch.testing.assert_close(p.mean, loc)


def test_scale_of_a_normal_starts_at_sigma_stays_above_its_least_and_moves_alone():
    for scale in ("fixed", "learned", "pixel"):
        family = Normal(VECTOR, scale, sigma=0.3)
        assert family(torch.zeros(1, family.outputs * 6)).stddev.unique().tolist() == [pytest.approx(0.3)]
    family = Normal(VECTOR, "learned", sigma=0.3)
    offset = family.offset.clone()
    with torch.no_grad():
        family.raw.fill_(-1000.0)
    assert family(torch.zeros(1, 6)).stddev.min().item() == pytest.approx(SMALLEST)
    assert torch.equal(family.offset, offset)  # a parameter on the same memory would carry it along
    assert [name for name, _ in Normal(VECTOR, "fixed").named_parameters()] == []


@pytest.mark.parametrize("kind", ["bernoulli", "learned", "pixel"])
def test_mask_leaves_dims_out(kind):
    family = Bernoulli(IMAGE) if kind == "bernoulli" else Normal(IMAGE, kind)
    h = torch.randn(4, 5, family.outputs, 8, 8)
    x = torch.bernoulli(torch.full((5, 1, 8, 8), 0.5))
    mask = torch.rand(5, 1, 8, 8) < 0.5
    p = family(h, mask=mask)
    assert (p.batch_shape, p.event_shape) == ((4, 5), (1, 8, 8))
    whole = family(h)
    while hasattr(whole, "reinterpreted_batch_ndims"):
        whole = whole.base_dist
    wanted = (whole.log_prob(x) * mask).sum((-3, -2, -1))
    torch.testing.assert_close(p.log_prob(x), wanted)
    torch.testing.assert_close(p.log_prob(torch.where(mask, x, 1 - x)), wanted)
    torch.testing.assert_close(family(h, mask=torch.zeros(5, 1, 8, 8, dtype=torch.bool)).log_prob(x), torch.zeros(4, 5))


def test_quadrants_that_are_given_are_not_scored():
    tried = case("cvae-quadrants")
    pair, (x, y) = tried.pair().eval(), tried.batch
    z = {"z": torch.zeros(len(x), 3)}
    given = y[:, 1:] == 1
    scores = []
    for changed in (x, torch.where(given, 1 - x, x), torch.where(given, x, 1 - x)):
        p = draw(pair.model, (changed, y), z)
        p.compute_log_prob()
        scores.append(p.nodes["x"]["log_prob"])
    assert given.float().mean() == 0.25
    assert torch.equal(scores[0], scores[1])
    assert not torch.isclose(scores[0], scores[2]).any()


def test_bias_is_the_training_mean():
    for kind in ("images", "colour", "vectors"):
        field = small(kind)[0]["x"]
        for scale in ("learned", "pixel"):
            config = LikelihoodConfig(scale=scale)
            family = likelihood(field, config)
            h = family.bias(field).expand(2, *([family.outputs * field.shape[0], *field.shape[1:]]))
            torch.testing.assert_close(
                family(h).mean[0], field.mean.clamp(1e-3, 1 - 1e-3) if kind == "images" else field.mean
            )
            assert likelihood(field, LikelihoodConfig(scale=scale, output_bias="zero")).bias(field) is None
    assert likelihood(IMAGE, LikelihoodConfig()).bias(IMAGE) is None
    assert likelihood(VECTOR, LikelihoodConfig()).bias(VECTOR) is None


def test_the_output_starts_at_the_training_mean_or_at_zero():
    mean = small("images")[0]["x"].mean.clamp(1e-3, 1 - 1e-3)
    for start, logits in (("mean", torch.logit(mean)), ("zero", torch.zeros_like(mean))):
        torch.testing.assert_close(case("vae", output_bias=start).pair().model.decoder[1].bias.view(1, 8, 8), logits)


def test_grayscale_is_refused_by_a_bernoulli_in_one_sentence():
    with pytest.raises(UsageError) as told:
        likelihood(COLOUR, LikelihoodConfig(likelihood="bernoulli"))
    assert "grayscale (values between 0 and 1)" in str(told.value)
    assert "(binarize dynamic" in str(told.value)
    assert "likelihood='bce' is" in str(told.value)
    assert "\n" not in str(told.value)
    for name in ("bernoulli", "bce"):
        with pytest.raises(UsageError, match="real numbers"):
            likelihood(VECTOR, LikelihoodConfig(likelihood=name))
    with pytest.raises(UsageError, match="the data are tokens"):
        likelihood(Field((6,), "tokens", size=9), LikelihoodConfig())


def test_auto_takes_what_fits():
    kinds = {"binary": Bernoulli, "unit": Normal, "real": Normal}
    for kind, family in kinds.items():
        assert isinstance(likelihood(Field((6,), kind), LikelihoodConfig()), family)
    bce = likelihood(Field((6,), "unit"), LikelihoodConfig(likelihood="bce"))
    h, x = torch.randn(4, 6), torch.rand(4, 6)
    wanted = -binary_cross_entropy_with_logits(h, x, reduction="none").sum(-1)
    torch.testing.assert_close(bce(h).log_prob(x), wanted)  # grayscale passes validation here
    with pytest.raises(ValueError, match="support"):
        Bernoulli(Field((6,), "binary"))(h).log_prob(x)


class Bigram(nn.Module):
    """Logits that depend on z and on the word before alone."""

    pad, bos, eos = 0, 1, 2

    def __init__(self, words=5):
        super().__init__()
        self.table = nn.Parameter(torch.randn(words, words))

    def logits(self, z, inputs):
        return self.table[inputs] + z.unsqueeze(1)

    def start(self, z):
        return z.new_zeros(len(z), 1)

    def advance(self, z, word, state):
        return self.table[word] + z, state + 1


def test_a_sentence_is_the_sum_over_its_words():
    decoder, z = Bigram(), torch.randn(3, 5)
    x = torch.tensor([[3, 4, 2, 0], [2, 0, 0, 0], [4, 4, 3, 3]])
    found = Autoregressive(decoder, z, 4).log_prob(x)
    for n, sentence in enumerate(x.tolist()):
        before, total = decoder.bos, 0.0
        for word in sentence:
            if word == decoder.pad:
                break
            total += (decoder.table[before] + z[n])[2:].log_softmax(-1)[word - 2].item()  # neither <pad> nor <bos>
            before = word
        assert found[n].item() == pytest.approx(total, rel=1e-5)


def test_all_sentences_together_have_probability_one():
    """Over every sentence of at most T words: those that ended, and those that were cut off at T."""
    decoder, length = Bigram(), 4
    rows = []
    for ended in range(1, length + 1):
        rows += [[*words, 2] + [0] * (length - ended) for words in itertools.product((3, 4), repeat=ended - 1)]
    rows += [list(words) for words in itertools.product((3, 4), repeat=length)]
    x = torch.tensor(rows)
    assert len(x) == len(set(map(tuple, rows))) == 31
    z = torch.randn(5).expand(len(x), 5)
    assert Autoregressive(decoder, z, length).log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_have_the_frequencies_that_are_scored():
    decoder, n = Bigram(), 40000
    z = torch.randn(5)
    p = Autoregressive(decoder, z.expand(n, 5), 3)
    x = p.sample()
    assert x.shape == (n, 3)
    kinds, counts = x.unique(dim=0, return_counts=True)
    wanted = Autoregressive(decoder, z.expand(len(kinds), 5), 3).log_prob(kinds).exp()
    torch.testing.assert_close(counts / n, wanted.detach(), atol=0.01, rtol=0)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_some_words_can_be_left_out_of_what_is_drawn(temperature):
    decoder = case("textvae").pair().model.decoder
    words = Autoregressive(decoder, torch.randn(200, 3), 6)
    (most,) = words.draw(temperature=0.0).flatten().mode().values[None].tolist()
    assert most in words.draw(temperature=temperature)
    assert most not in words.draw(temperature=temperature, without=[most])


@pytest.mark.parametrize("temperature", [0.0, 0.4, 3.0])
def test_words_are_drawn_at_a_temperature(temperature):
    decoder, n = Bigram(), 40000
    z = torch.randn(5)
    first = Autoregressive(decoder, z.expand(n, 5), 2).draw(temperature=temperature)[:, 0]
    logits = (decoder.table[decoder.bos] + z).detach()
    logits[[decoder.pad, decoder.bos]] = -torch.inf
    wanted = (logits == logits.max()).float() if temperature == 0 else (logits / temperature).softmax(-1)
    torch.testing.assert_close(first.bincount(minlength=5) / n, wanted, atol=0.01, rtol=0)


def test_a_sample_ends_once_and_is_scored_through_its_end():
    tried = case("textvae")
    decoder = tried.pair().eval().model.decoder
    x = Autoregressive(decoder, torch.randn(4, 50, 3), 6).sample((2,))
    assert x.shape == (2, 4, 50, 6)
    assert not (x == decoder.bos).any()
    ended = (x == decoder.eos).cumsum(-1)
    assert ended.max() == 1
    assert ((x == decoder.pad) == ((ended == 1) & (x != decoder.eos))).all()
    longer = torch.cat([x, torch.zeros_like(x)], -1)
    z = torch.randn(2, 4, 50, 3)
    torch.testing.assert_close(
        Autoregressive(decoder, z, 12).log_prob(longer), Autoregressive(decoder, z, 6).log_prob(x)
    )


@pytest.mark.parametrize("name", ["textvae", "textvae-tied", "textvae-no-z"])
def test_stepping_is_the_same_as_all_at_once(name):
    tried = case(name)
    decoder, (x,) = tried.pair().eval().model.decoder, tried.batch
    z = torch.randn(len(x), 0 if name.endswith("no-z") else 3)
    before = torch.cat([torch.full((len(x), 1), decoder.bos), x[:, :-1]], 1)
    at_once, state, steps = decoder.logits(z, before), decoder.start(z), []
    for t in range(x.shape[1]):
        logits, state = decoder.advance(z, before[:, t], state)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), at_once)


@pytest.mark.parametrize("name", ["textvae", "textvae-tied", "textvae-no-z"])
def test_padding_and_the_order_of_the_batch_never_change_a_number(name):
    tried = case(name)
    pair, (x,) = tried.pair().eval(), tried.batch
    z = {} if name.endswith("no-z") else {"z": torch.randn(len(x), 3)}
    plain = log_weights(pair, (x,), values=z)
    padded = log_weights(pair, (torch.cat([x, torch.zeros(len(x), 5, dtype=x.dtype)], 1),), values=z)
    torch.testing.assert_close(padded, plain)
    order = torch.randperm(len(x))
    turned = log_weights(pair, (x[order],), values={k: v[order] for k, v in z.items()})
    torch.testing.assert_close(turned, plain[order])
    short = [n for n in range(len(x)) if (x[n] == 0).any()]
    alone = log_weights(pair, (x[short[:1], :-1],), values={k: v[short[:1]] for k, v in z.items()})
    torch.testing.assert_close(alone, plain[short[:1]])


def test_word_dropout_only_while_training_and_never_of_the_first_word():
    tried = case("textvae", word_dropout=0.9)
    pair, (x,) = tried.pair(), tried.batch
    z, decoder = torch.randn(len(x), 3), pair.model.decoder
    first = torch.full((len(x), 1), decoder.bos)
    before = torch.cat([first, x[:, :-1]], 1)
    pair.eval()
    calm = decoder.logits(z, before)
    assert torch.equal(calm, decoder.logits(z, before))
    pair.train()
    assert not torch.allclose(decoder.logits(z, before)[:, 1:], calm[:, 1:])
    torch.testing.assert_close(decoder.logits(z, before)[:, 0], calm[:, 0])


def test_a_model_of_sentences_refuses_other_data():
    from pyrovae import registry

    variant = registry.variant("textvae")
    with pytest.raises(UsageError, match="no text"):
        variant.build(variant.config(), {"x": IMAGE}, registry.family("diagonal"))
