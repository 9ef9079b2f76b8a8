"""A run.json that asks for more than its weights is refused before anything is made."""

import shutil
import threading
from pathlib import Path

import pytest
import torch
from commands import OWN
from damage import edited
from test_run import QUICK
from torch import nn
from torch.nn.modules import module as registration
from torch.overrides import TorchFunctionMode

import pyrovae
from pyrovae import PyrovaeError, registry
from pyrovae.data import Field
from pyrovae.data import load as load_data
from pyrovae.runs import outline
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.tensors import weights

X = torch.linspace(-1, 1, 180).sin().view(60, 3)
GUIDES = ("iaf:steps=2:hidden=4", "mixture:components=2", "full")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of each of GUIDES, with a checkpoint."""
    folder = tmp_path_factory.mktemp("outline")
    for guide in GUIDES:
        name = guide.partition(":")[0]
        pyrovae.fit("vae", data=X, guide=guide, out=folder / name, hidden=(4,), latent_dim=2, **QUICK)
    return folder


class Taken(TorchFunctionMode):
    """The numbers of the largest tensor that is made where it takes memory."""

    largest = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        state = torch.uint8  # of a generator
        if isinstance(found, torch.Tensor) and found.device.type != "meta" and found.dtype != state:
            self.largest = max(self.largest, found.numel())
        return found


@pytest.fixture
def modules():
    """A list of one number: of modules that were put into others."""
    count = [0]

    def one(*registered):
        count[0] += 1

    hook = registration.register_module_module_registration_hook(one)
    yield count
    hook.remove()


def load(run):
    pyrovae.load(run, device="cpu", trust=True)


def resume(run):
    pyrovae.fit(resume=run, data=X, epochs=9, show=False)


VERBS = pytest.mark.parametrize("verb", [load, resume], ids=["load", "resume"])


def asks(made, tmp_path, name, **values):
    """A copy of a run whose run.json has these in its recipe."""
    run = Path(shutil.copytree(made / name, tmp_path / "run"))
    options = values.pop("options", {})
    edited(run, lambda content: content["recipe"].update(values))
    edited(run, lambda content: content["recipe"]["options"].update(options))
    return run


ASKED = {
    "steps": ("iaf", {"guide": "iaf:steps=60:hidden=4"}, r"have no tensor 'guide\.q\.steps\.2"),
    "components": (
        "mixture",
        {"guide": "mixture:components=5000"},
        r"a tensor '(weight|bias)' of the pair of run\.json has [\d,]+: they are",
    ),
    "hidden": (
        "mixture",
        {"options": {"hidden": [10_000]}},
        r"a tensor '(weight|bias)' of the pair of run\.json has [\d,]+: they are",
    ),
    "width": ("mixture", {"options": {"hidden": [5]}}, r"has shape \(4, 2\), the pair needs \(5, 2\)"),
    "latent_dim": (
        "full",
        {"options": {"latent_dim": 300}},
        r"a tensor '(weight|bias)' of the pair of run\.json has [\d,]+: they are",
    ),
}


@VERBS
@pytest.mark.parametrize(("name", "values", "says"), ASKED.values(), ids=ASKED)
def test_a_pair_of_other_sizes_takes_no_memory(made, tmp_path, name, values, says, verb):
    run = asks(made, tmp_path, name, **values)
    with Taken() as tensors, pytest.raises(PyrovaeError, match=says):
        verb(run)
    assert tensors.largest < 1000


@VERBS
def test_a_pair_of_more_layers_is_not_built_to_its_end(made, tmp_path, monkeypatch, modules, verb):
    held = len(weights(pyrovae.load(made / "iaf", device="cpu").pair))
    monkeypatch.setattr(outline, "SPARE", 40)
    monkeypatch.setattr(outline, "EACH", 1)
    run = asks(made, tmp_path, "iaf", guide="iaf:steps=500:hidden=4")
    modules[0] = 0
    with pytest.raises(PyrovaeError, match=rf"are {held} tensors, and the pair of run\.json needs more than"):
        verb(run)
    assert modules[0] <= 40 + held + 1


HUGE = {
    "steps": ({"guide": "iaf:steps=1000000000"}, r"needs more than 400 modules and parameters"),
    "hidden": ({"options": {"hidden": [10**6, 10**6]}}, r"has [\d,]+ numbers and more, and there is memory for"),
    "components": ({"guide": "mixture:components=1000000000"}, r"has [\d,]+ numbers and more, and there is memory for"),
}


@pytest.mark.parametrize(("values", "says"), HUGE.values(), ids=HUGE)
def test_a_fit_that_was_stopped_before_its_first_checkpoint_is_bounded_by_the_memory(
    made, tmp_path, monkeypatch, modules, values, says
):
    monkeypatch.setattr(outline, "MODULES", 400)

    def begun(content):
        content["files"] = {}
        content.update(status="training", progress=None, results={})

    run = asks(made, tmp_path, "iaf", **dict(values))
    edited(run, begun)
    modules[0] = 0
    with Taken() as tensors, pytest.raises(PyrovaeError, match=rf"the pair of .*run\.json {says}"):
        resume(run)
    assert tensors.largest < 1000
    assert modules[0] <= 400 + 1
    edited(run, lambda content: content["recipe"].update(guide="iaf:steps=2:hidden=4"))
    edited(run, lambda content: content["recipe"]["options"].update(hidden=[4]))
    resume(run)
    assert pyrovae.load(run, device="cpu").status == "done"


DEEP = """

class Deep(MyVAE):
    def __init__(self, family, n: int = 2):
        super().__init__(family)
        assert self.model.decoder[0].weight.device.type == "cpu"  # an outline of it would be made on meta
        self.more = nn.ModuleList(nn.Tanh() for _ in range(n))
"""


def test_layers_of_own_code_are_counted(tmp_path, monkeypatch, modules):
    (tmp_path / "mine.py").write_text(OWN + DEEP)
    monkeypatch.chdir(tmp_path)
    pyrovae.fit("mine.py:Deep", data=torch.randn(60, 5), out="run", **QUICK)
    load("run")
    monkeypatch.setattr(outline, "SPARE", 40)
    monkeypatch.setattr(outline, "EACH", 1)
    edited(Path("run"), lambda content: content["recipe"]["options"].update(n=500))
    modules[0] = 0
    with pytest.raises(PyrovaeError, match=r"the pair of run\.json needs more than"):
        load("run")
    assert modules[0] < 100


CASES = [
    (model, guide, options)
    for model in registry.describe("models")
    for options in ({}, {"prior": "vamp"}, {"prior": "flow"}, {"net": "conv"}, {"activation": "gated"})
    if set(options) <= set(registry.variant(model).config.model_fields)
    if (model, *options) != ("cvae", "prior")  # whose priors are its own
    for guide in (registry.describe("guides") if not options else ("iaf",))
]


@pytest.mark.parametrize(("model", "guide", "options"), CASES, ids=str)
def test_an_outline_has_the_names_and_shapes_of_the_pair(model, guide, options):
    variant = registry.variant(model)
    recipe = Recipe.of(variant, guide, None, options)
    assert not registry.is_foreign(recipe.model, recipe.guide, recipe.options)
    data = variant.prepare(recipe.options, load_data("pydoc" if model == "textvae" else "digits"))
    fields = {name: Field.from_json(field.to_json()) for name, field in data.named_fields().items()}
    generator = torch.get_rng_state()
    built = []

    def build():
        built.append(recipe.build(variant, fields))
        return built[-1]

    pair = build()
    torch.set_rng_state(generator)
    outline.require_outline(build, weights(pair), "the weights")
    assert {tensor.device.type for tensor in built[-1].state_dict().values()} == {"meta"}
    assert torch.equal(generator, torch.get_rng_state())


def many():
    return [nn.Sequential(nn.Tanh()) for _ in range(2000)]


def test_other_threads_are_not_counted_and_no_hook_stays():
    with outline.bounded({}, "the weights"):
        thread = threading.Thread(target=many)
        thread.start()
        thread.join()
        with pytest.raises(PyrovaeError, match="needs more than 1,000"):
            many()
    many()
