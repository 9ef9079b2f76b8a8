"""An objective is a file, an entry point or one's own class, found by name; its spec and the flags say the same."""

import plugins
import pytest
import torch
from click.testing import CliRunner

import pyrovae
from pyrovae import PyrovaeError, UsageError, objectives, registry
from pyrovae.cli import cli
from pyrovae.config import parse
from pyrovae.options import TrainConfig

SOURCE = '''"""Minus the ELBO, tau times."""

from torch import nn

from pyrovae.objectives.elbo import Free, negative_elbo, require_trainable
from pyrovae.pairs.traces import traces

class Tempered(nn.Module):
    takes = ("free_bits",)

    def __init__(self, pair, tau):
        super().__init__()
        self.pair, self.tau = pair, tau

    @classmethod
    def build(cls, pair, batch, config, tau: float = 1.0):
        require_trainable(pair, batch)
        return cls(pair, tau)

    def forward(self, *batch, kl_weight=1.0, fraction=1.0):
        terms = negative_elbo(*traces(self.pair, batch), batch, kl_weight, fraction, Free())
        return terms._replace(loss=self.tau * terms.loss)
'''

BUILT_IN = ["dreg", "elbo", "iwae", "renyi", "stl"]


X = torch.bernoulli(torch.full((30, 16), 0.4), generator=torch.Generator().manual_seed(0))


def trained(**options):
    small = {
        "latent_dim": 2,
        "hidden": (6,),
        "epochs": 2,
        "batch_size": 12,
        "score_samples": 20,
        "optimizer": "rmsprop",
    }
    run = pyrovae.fit("vae", data=X, device="cpu", show=False, **small, **options)
    return run, torch.cat([tensor.flatten() for tensor in run.pair.state_dict().values()])


@pytest.fixture
def dropped(tmp_path):
    with plugins.dropped(objectives, tmp_path, "tempered", SOURCE):
        yield


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    with plugins.packaged(objectives, tmp_path, "tempered", "Tempered", SOURCE, monkeypatch):
        yield


def test_what_is_listed_are_the_objectives_and_no_helper():
    found = registry.describe("objectives")
    assert list(found) == BUILT_IN
    assert all(found.values())


def test_a_class_is_that_of_its_file_without_underscores(tmp_path):
    with plugins.dropped(objectives, tmp_path, "half_tempered", SOURCE.replace("Tempered", "HalfTempered")):
        assert "half_tempered" in registry.describe("objectives")
        assert registry.bound("half_tempered:tau=3").name == "half_tempered"


@pytest.mark.parametrize("way", ["dropped", "packaged"])
def test_a_new_objective_trains_by_its_name(way, request):
    assert "tempered" not in registry.describe("objectives")
    request.getfixturevalue(way)
    found = registry.describe("objectives")
    assert sorted(found) == sorted([*BUILT_IN, "tempered"])
    assert found["tempered"] == {"dropped": "Minus the ELBO, tau times"}.get(
        way, "from a_package_with_tempered:Tempered"
    )
    run, once = trained(objective="tempered")
    assert torch.equal(once, trained(objective="elbo")[1])
    assert run.recipe.training.objective == "tempered"
    run, twice = trained(objective="tempered:tau=3")
    assert not torch.equal(once, twice)  # RMSprop's first moments are not scale-free beside its epsilon
    assert run.recipe.training.objective == "tempered:tau=3"
    for spec, says in {
        "tempered:tua=3": "objective tempered has no option 'tua': did you mean 'tau'",
        "tempered:tau=x": "objective tempered: tau = 'x'",
        "tempered:beta=2": "objective='tempered' has no KL term to weigh: set beta to 1",
        "tempered:alpha=2": "alpha is the order of objective='renyi', not of tempered: leave it out",
    }.items():
        with pytest.raises(UsageError, match=says):
            trained(objective=spec)
    trained(objective="tempered:free_bits=0.1")


def test_ones_own_class_trains_and_goes_on_only_with_trust(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text(SOURCE)
    _, weights = trained(objective=f"{own}:Tempered", out=tmp_path / "run")
    assert torch.equal(weights, trained()[1])
    pyrovae.load(tmp_path / "run", data=X)  # which has no use for the objective
    with pytest.raises(UsageError, match="trust=True"):
        pyrovae.fit(resume=tmp_path / "run", data=X, epochs=3, show=False)
    assert len(pyrovae.fit(resume=tmp_path / "run", data=X, epochs=3, show=False, trust=True).metrics) == 3


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        ("renyi:alpha=0.5:particles=3", {"objective": "renyi", "alpha": 0.5, "particles": 3}),
        ("elbo:beta=0.5:kl_warmup=1", {"objective": "elbo", "beta": 0.5, "kl_warmup": 1}),
        ("stl:free_nats=0.2", {"objective": "stl", "free_nats": 0.2}),
    ],
)
def test_a_spec_is_the_flags_to_the_last_bit(spec, flags):
    (one, first), (other, second) = trained(objective=spec), trained(**flags)
    assert torch.equal(first, second)
    assert one.recipe == other.recipe
    assert not torch.equal(first, trained()[1])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"objective": "renyi:alpha=0.5", "alpha": 0.7}, r"renyi:alpha=0.5' and alpha=0.7 disagree: give alpha once"),
        ({"objective": "elbo:kl_warmup=3", "kl_warmup": 0}, r"kl_warmup=3' and kl_warmup=0 disagree"),
        ({"objective": "elbo:beta=2:beta=2"}, "an option is given twice: give it once"),
        ({"objective": "iwea"}, "there is no objective 'iwea': did you mean 'iwae'?"),
        ({"objective": "weights"}, "there is no objective 'weights'"),
        ({"objective": "elbo:epochs=3"}, "objective elbo has no option 'epochs'"),
        ({"objective": "elbo:beta"}, "'beta' is no OPTION=VALUE"),
        ({"objective": "beta=2"}, "there is no objective"),
        ({"objective": "renyi:alpha=x"}, "alpha = 'x'"),
        ({"objective": "no_such_file.py:Mine"}, "there is no file no_such_file.py"),
        ({"objective": "torch.nn:Linear"}, "torch.nn:Linear is no objective: it must be a class with a classmethod"),
    ],
)
def test_what_is_refused(options, says):
    with pytest.raises(UsageError, match=says) as told:
        trained(**options)
    assert "\n" not in str(told.value)


def test_a_spec_and_a_flag_that_agree_are_taken():
    config = parse(TrainConfig, {"objective": "renyi:alpha=0.5", "alpha": "0.50"}, "training")
    assert (config.objective, config.alpha) == ("renyi", 0.5)
    assert "alpha" in config.model_fields_set


@pytest.mark.parametrize("spec", ["iwea", "renyi:alpha=0.5", "iwae:particles=3:beta=2"])
def test_the_command_line_refuses_before_training(spec, tmp_path):
    done = CliRunner().invoke(cli, ["fit", "--model", "vae", "--objective", spec, "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, SystemExit | PyrovaeError)
    assert done.exit_code == 2
    assert not (tmp_path / "run").exists()
