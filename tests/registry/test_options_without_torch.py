"""Options that are read without torch: the same as those of the real import, or the real import."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pyrovae import registry
from pyrovae.cli import cli
from pyrovae.config import from_signature
from pyrovae.registry.names import GIVEN, files, find, of_its_name

PARTS = [(kind, name) for kind in GIVEN for name in files(kind)]
MODELS = list(files("models"))
HELPS = [["fit", "--model"], ["compare", "--model"], ["check"]]


def fresh(code, *folders, **given):
    """What a new interpreter prints, which finds modules in `folders`, too."""
    path = os.pathsep.join(filter(None, (*map(str, folders), os.environ.get("PYTHONPATH"))))
    code = "import json, sys\ntold = json.loads(sys.argv[1])\n" + code
    command = [sys.executable, "-c", code, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fields(config):
    """All that there is to know of them, in their order."""
    return [[name, repr(info)] for name, info in config.model_fields.items()]


def texts(*names):
    """The help of each command for each model."""
    calls = [[*words, name, "--help"] for name in names for words in HELPS]
    return {" ".join(call): CliRunner().invoke(cli, call, terminal_width=100).output for call in calls}


WITHOUT_TORCH = """
from pyrovae.registry.excerpts import NeedsImportError, options_of_model, options_of_part

def fields(config):
    return [[name, repr(info)] for name, info in config.model_fields.items()]

def of_part(kind, name):
    return fields(options_of_part(kind, name))

def of_model(name):
    return [fields(config) for config in options_of_model(name, ("fields", "family"))]
"""


@pytest.fixture(scope="module")
def read():
    """The fields of all that there is, read in an interpreter without torch."""
    code = """
print(json.dumps({
    "models": {name: of_model(name) for name in told["models"]},
    "parts": {f"{kind} {name}": of_part(kind, name) for kind, name in told["parts"]},
}))
assert "torch" not in sys.modules
"""
    return fresh(WITHOUT_TORCH + code, models=MODELS, parts=PARTS)


@pytest.mark.parametrize("name", MODELS)
def test_the_options_of_a_model_are_those_of_its_import(read, name):
    variant = registry.variant(name)
    assert read["models"][name] == [fields(variant.config), fields(variant.training)]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_the_options_of_a_part_are_those_of_its_import(read, kind, name):
    made = of_its_name(find(kind, name))
    made = made.build if kind == "objectives" else made
    assert read["parts"][f"{kind} {name}"] == fields(from_signature(made, leave_out=GIVEN[kind]))


def test_help_is_that_of_the_import_and_needs_no_torch():
    code = """
from click.testing import CliRunner
from pyrovae.cli import cli
print(json.dumps({call: CliRunner().invoke(cli, call.split(), terminal_width=100).output for call in told["calls"]}))
assert "torch" not in sys.modules
"""
    real = texts(*MODELS)
    assert fresh(code, calls=list(real)) == real


PLAIN = '''"""A plugin whose options are in a file beside it."""

import torch
from torch import nn

from pyrovae import nets
from pyrovae.config import Config as Base
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair

from .sizes import SIZES as WIDTHS, Deep
from . import sizes

noise = torch.zeros(3)


class Config(nets.NetConfig, Deep):
    depth: int = sizes.DEPTH
    widths: tuple[int, ...] = WIDTHS
    beside: "int | None" = None

    def names(self, x: torch.Tensor) -> nn.Module:
        return noise


class Training(TrainConfig):
    lr: float = 7.0


def build(config, fields, family) -> Pair: ...


class MyVAE(nn.Module):
    def __init__(self, fields: dict[str, torch.Tensor], depth: int = sizes.DEPTH, wide=WIDTHS) -> None: ...


def my_vae(fields, family: nn.Module, depth: int = 3, *, shift: float = 0.5) -> Pair: ...


if __name__ == "__main__":
    raise SystemExit
'''

SIZES = '''"""Sizes."""

import torch
from pydantic import Field, field_validator

from pyrovae.config import Config

DEPTH = 4
SIZES = (DEPTH, 2 * DEPTH)


class Deep(Config):
    deep: int = Field(DEPTH, gt=3, description="how deep")

    @field_validator("deep")
    @classmethod
    def _whole(cls, value: int) -> int:
        return int(torch.tensor(value))
'''

POINTS = {"plain": "a_plugin.plain", "class": "a_plugin:MyVAE", "function": "a_plugin.plain:my_vae"}


def install(folder, sources, points):
    """A package of these files, as pip installs it, with these models."""
    (folder / "a_plugin").mkdir()
    for name, source in sources.items():
        (folder / "a_plugin" / f"{name}.py").write_text(source)
    info = folder / "a_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a_plugin\nVersion: 1.0\n")
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (info / "entry_points.txt").write_text("".join(["[pyrovae.models]\n", *lines]))


def test_plugins_are_read_too(tmp_path, monkeypatch):
    face = '"""A package."""\n\nfrom a_plugin.plain import MyVAE\n'
    install(tmp_path, {"__init__": face, "plain": PLAIN, "sizes": SIZES}, POINTS)
    code = 'print(json.dumps({name: of_model(name) for name in told["names"]}))\nassert "torch" not in sys.modules\n'
    found = fresh(WITHOUT_TORCH + code, tmp_path, names=list(POINTS))
    monkeypatch.syspath_prepend(tmp_path)
    for name in POINTS:
        variant = registry.variant(name)
        assert found[name] == [fields(variant.config), fields(variant.training)]
    own, training = (dict(each) for each in found["plain"])
    assert list(own) == ["deep", "net", "hidden", "channels", "activation", "depth", "widths", "beside"]
    assert "default=7.0" in training["lr"]


def test_help_of_your_own_file_runs_nothing_of_it(tmp_path):
    file, ran = tmp_path / "my_model.py", tmp_path / "ran"
    file.write_text(f'import torch\n\nDONE = open({str(ran)!r}, "w")\n\ndef my_vae(fields, shift: float = 0.5): ...\n')
    code = """
from click.testing import CliRunner
from pyrovae.cli import cli
print(json.dumps(CliRunner().invoke(cli, ["fit", "--model", told["model"], "--help"]).output))
assert "torch" not in sys.modules
"""
    assert "--shift FLOAT" in fresh(code, model=f"{file}:my_vae")
    assert not ran.exists()


HEAD = '''"""A plugin."""

import torch
from pydantic import ConfigDict, Field
from pyrovae.config import Config as Base

WIDTHS = [1]


def made(): return Base


def same(kind): return kind


def build(config, fields, family): ...

'''

SOURCES = """
# a base made by a call
class Config(made()):
    own: int = 3

# a decorator
@same
class Config(Base):
    own: int = 3

# a default of torch
class Config(Base):
    own: int = torch.iinfo(torch.int8).bits - 5

# a default by a call
class Config(Base):
    own: int = len(same([1, 2, 3]))

# a factory by a call
class Config(Base):
    own: int = Field(default_factory=lambda: same(3))

# an annotation of torch
class Config(Base):
    own: int = 3
    as_: type[torch.Tensor] | None = None

# a list that is changed
WIDTHS.append(2)

class Config(Base):
    own: int = len(WIDTHS) + 1

# a list that is changed by a value
CHANGED = [WIDTHS.append(2)]

class Config(Base):
    own: int = len(WIDTHS) + 1

# a list that is changed by the value of a function
def grown():
    WIDTHS.append(2)

CHANGED = grown()

class Config(Base):
    own: int = len(WIDTHS) + 1

# an item that is set
WIDTHS[0] = 3

class Config(Base):
    own: int = WIDTHS[0]

# a name bound twice
SIZE = 2
SIZE = 3

class Config(Base):
    own: int = SIZE

# a branch
if len(WIDTHS):
    SIZE = 3

class Config(Base):
    own: int = SIZE

# a branch at its end
class Config(Base):
    own: int = 2

if WIDTHS:
    class Config(Base):
        own: int = 3

# names by a star
pi = 2
from math import *

class Config(Base):
    own: int = int(pi)

# another package
import numpy as np

class Config(Base):
    own: int = np.size([1, 2, 3])

# pydantic looks into the source
class Config(Base):
    model_config = ConfigDict(use_attribute_docstrings=True)

    own: int = 3
    'What it is.'

# a type in quotes
Size = int

class Config(Base):
    own: "Size" = 3

# a text by a call
class Odd(int):
    def __str__(self): return '3'

class Config(Base):
    own: int = Odd(2)

# a decorated function
@same
def Own(own: int = 3): ...

# a class with a metaclass
class Meta(type):
    def __call__(cls, own: int = 3): ...

class First(metaclass=Meta): ...

class Own(First):
    def __init__(self, own: int = 2): ...

# a class with two ways
class Own:
    def __new__(cls, own: int = 3): ...
    def __init__(self, own: int = 2): ...

# a class with its own words
SIZE = 2

class Own:
    SIZE = 3
    def __init__(self, own: int = SIZE): ...
"""

NEED_IMPORT = dict(each.split("\n", 1) for each in SOURCES.split("# ")[1:])
"""What is the matter -> a file whose model has the option `own`, which is 3 by default."""


def test_what_needs_an_import_is_imported(tmp_path):
    names = [f"m{i}" for i in range(len(NEED_IMPORT))]
    sources = {name: HEAD + source for name, source in zip(names, NEED_IMPORT.values(), strict=True)}
    points = {name: f"a_plugin.{name}" + ":Own" * (" Own" in source) for name, source in sources.items()}
    install(tmp_path, {"__init__": "", **sources}, points)
    code = """
def is_read(name):
    try:
        return bool(of_model(name))
    except NeedsImportError:
        return False

read = [name for name in told["names"] if is_read(name)]
assert "torch" not in sys.modules
from click.testing import CliRunner
from pyrovae.cli import cli
said = {name: CliRunner().invoke(cli, ["check", name, "--help"]).output for name in told["names"]}
assert "torch" in sys.modules
print(json.dumps([read, said]))
"""
    read, said = fresh(WITHOUT_TORCH + code, tmp_path, names=names)
    assert [list(NEED_IMPORT)[names.index(name)] for name in read] == []
    for name, what in zip(names, NEED_IMPORT, strict=True):
        (line,) = [line.split() for line in said[name].splitlines() if line.startswith("  --own ")]
        assert line[:2] == ["--own", "INTEGER"] and line[-2:] == ["[default:", "3]"], what
    assert "What it is." in said[names[list(NEED_IMPORT).index("pydantic looks into the source")]]


def test_a_name_that_there_is_not_needs_no_torch():
    code = """
from click.testing import CliRunner
from pyrovae.cli import cli
print(json.dumps(CliRunner().invoke(cli, ["fit", "--model", "cvea", "--help"]).stderr))
assert "torch" not in sys.modules
"""
    assert fresh(code) == "Error: there is no model 'cvea': did you mean 'cvae'?\n"
