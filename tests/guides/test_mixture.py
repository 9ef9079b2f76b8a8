"""The mixture of diagonal Gaussians: density and moments are those of torch, gradients those of closed forms."""

import pytest
import torch

from pyrovae.guides.mixture import DiagonalMixture


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def mixture():
    """Three components that overlap and lie along a line, so that z_1 says much of z_2."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    loc = torch.tensor([[-1.5, -1.2], [0.3, 0.1], [1.2, 1.6]], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([[0.7, 0.5], [0.6, 1.1], [0.9, 0.8]], dtype=torch.float64, requires_grad=True)
    return DiagonalMixture(logits, loc, scale), (logits, loc, scale)


def test_mixture_is_that_of_torch(mixture):
    q, (logits, loc, scale) = mixture
    components = torch.distributions.Independent(torch.distributions.Normal(loc, scale), 1)
    theirs = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=logits), components)
    z = normal(7, 2)
    torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(q.mean, theirs.mean)
    torch.testing.assert_close(q.stddev, theirs.stddev)


def test_gradients_of_a_mixture_are_unbiased_with_less_noise_than_the_score_function(mixture):
    """Of E[z_1 z_2 + z_1^2 z_2], whose closed form says how the two dimensions hang together."""
    _, (logits, loc, scale) = mixture
    first, second = loc.unbind(-1)
    exact = (logits.softmax(-1) * (first * second + (first.square() + scale[:, 0].square()) * second)).sum()
    exact = torch.autograd.grad(exact, (logits, loc, scale))

    n = 20000
    copies = [each.detach().expand(n, *each.shape).clone().requires_grad_() for each in (logits, loc, scale)]
    q = DiagonalMixture(*copies)
    z = q.rsample()
    f = z[:, 0] * z[:, 1] + z[:, 0].square() * z[:, 1]
    path = torch.autograd.grad(f.sum(), copies)
    f, z = f.detach(), z.detach()
    score = torch.autograd.grad(((f - f.mean()) * q.log_prob(z)).sum(), copies)
    for wanted, *found in zip(exact, path, score, strict=True):
        for each in found:
            assert ((each.mean(0) - wanted).abs() < 4 * (each.var(0) / n).sqrt() + 1e-9).all()
    noise = [[float(each.var(0).sum()) for each in estimates] for estimates in (path, score)]
    assert sum(noise[0]) < 0.5 * sum(noise[1])
    assert noise[0][1] < 0.3 * noise[1][1]
    assert noise[0][2] < 0.3 * noise[1][2]


def test_gradients_of_a_mixture_are_those_of_a_normal_where_there_is_one_component():
    loc, scale = normal(1, 3).requires_grad_(), torch.rand(1, 3, dtype=torch.float64).add(0.5).requires_grad_()
    z = DiagonalMixture(torch.zeros(1, dtype=torch.float64), loc, scale).rsample((5,))
    weights = normal(5, 3)
    found = torch.autograd.grad((weights * z).sum(), (loc, scale))
    e = ((z - loc) / scale).detach()
    torch.testing.assert_close(found, (weights.sum(0, keepdim=True), (weights * e).sum(0, keepdim=True)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_a_mixture_are_finite_between_modes_that_lie_apart(monkeypatch, dtype):
    logits = torch.zeros(2, dtype=dtype, requires_grad=True)
    loc = torch.tensor([[-50.0] * 4, [50.0] * 4], dtype=dtype, requires_grad=True)
    scale = torch.full((2, 4), 0.01, dtype=dtype, requires_grad=True)
    q = DiagonalMixture(logits, loc, scale)
    drawn = q.rsample((1000,))
    monkeypatch.setattr(q, "_draw", loc.new_zeros)  # where the density is 0
    for z in (drawn, q.rsample((9,))):
        for gradient in torch.autograd.grad(z.sum(), (logits, loc, scale)):
            assert gradient.isfinite().all()


@pytest.mark.parametrize("deviations", [-4.5, -1.0, 1.0, 4.5])
def test_gradients_of_a_mixture_keep_their_digits_in_the_tails(monkeypatch, deviations):
    """In float32, where distribution functions are close to 0 and to 1, as in float64."""
    found = []
    for dtype in (torch.float64, torch.float32):
        logits = torch.zeros(2, dtype=dtype, requires_grad=True)
        loc = torch.tensor([[-0.1], [0.1]], dtype=dtype, requires_grad=True)
        q = DiagonalMixture(logits, loc, torch.tensor([[1.0], [1.1]], dtype=dtype))
        monkeypatch.setattr(q, "_draw", lambda shape, loc=loc: loc.new_full(shape, deviations))
        found.append(torch.autograd.grad(q.rsample().sum(), (logits, loc)))
    torch.testing.assert_close(tuple(each.double() for each in found[1]), found[0], rtol=1e-3, atol=0)
