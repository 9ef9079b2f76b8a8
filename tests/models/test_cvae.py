"""The conditional pair: without a latent its log p(x | y) is exact; without the skip y reaches x through z alone."""

import json

import pytest
import torch
from commands import done
from conftest import case
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

import pyrovae
from pyrovae import UsageError
from pyrovae.pairs.traces import draw, sites


@pytest.mark.parametrize("name", ["cvae-no-z", "cvae-quadrants-no-z"])
def test_the_log_likelihood_is_the_cross_entropy_of_what_is_generated(name):
    tried = case(name)
    pair, (x, y) = tried.pair(), tried.batch
    found = pyrovae.log_likelihood(pair, (x, y), samples=3)
    logits = pair.model.decoder(pair.model.embed(y))
    each = -binary_cross_entropy_with_logits(logits, x, reduction="none")
    scored = y[:, -1:] == 0 if "quadrants" in name else torch.ones_like(x)
    assert 0 < scored.float().mean() <= 1
    torch.testing.assert_close(found.log_likelihood.float(), (each * scored).sum((1, 2, 3)))
    assert (found.standard_error == 0).all()


def test_the_network_is_as_deep_and_wide_as_that_of_the_pair():
    pair = case("cvae-quadrants-no-z", hidden=(9, 7)).pair()
    layers = [part for part in pair.modules() if isinstance(part, nn.Linear)]
    assert [layer.in_features for layer in layers] == [2 * 64, 7, 9]
    assert not list(pair.guide.parameters())


@pytest.mark.parametrize("condition", ["label", "quadrants"])
def test_on_the_command_line(condition, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = ("--condition", condition, "--hidden", 6, "--limit-train", 50, "--epochs", 1, "--score-samples", 5)
    done("fit", "--model", "cvae", "--no-z", *own, "--score-limit", 20, "--device", "cpu", "--quiet", "--out", "run")
    done("fit", "--model", "cvae", *own, "--score-limit", 20, "--device", "cpu", "--quiet", "--out", "pair")
    found = json.loads(done("loglik", "run", "--limit", 20, "--samples", 5, "--json").stdout)
    assert found["standard_error"] == 0
    assert (tmp_path / "run" / "samples.png").is_file()
    done("sample", "run", "--out", "samples.png")
    beside = json.loads(done("evaluate", "pair", "--limit", 20, "--samples", 5, "--baseline", "run", "--json").stdout)
    assert "better than" in beside["baseline"]["verdict"] or "differ" in beside["baseline"]["verdict"]


def test_without_the_skip_y_reaches_x_through_z_alone():
    x, y = case("cvae").batch
    z = {"z": torch.zeros(len(x), 3)}
    other = (y + 1) % 3
    for name, same in (("cvae-no-skip", True), ("cvae", False)):
        pair = case(name).pair()
        with torch.no_grad():
            one, two = (sites(draw(pair.model, (x, given), z)) for given in (y, other))
        assert torch.equal(one["x"]["fn"].mean, two["x"]["fn"].mean) == same
        assert not torch.equal(one["z"]["fn"].mean, two["z"]["fn"].mean)


@pytest.mark.parametrize("options", [{"z": False}, {"prior": "standard"}])
def test_y_must_reach_x(options):
    with pytest.raises(UsageError, match="skip=False: y reaches x through"):
        case("cvae-no-skip", **options).pair()
