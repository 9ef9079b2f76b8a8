"""The types that editors see of the options of `fit` and `compare` are those of the Configs."""

import inspect
import pydoc
import runpy
from pathlib import Path
from typing import get_overloads, get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError

import pyrovae
from pyrovae.data import DataConfig
from pyrovae.options import TrainConfig
from pyrovae.registry import describe, variant
from pyrovae.training.typed import CompareSettings, FitSettings

ROOT = Path(__file__).parents[2]


def configs():
    yield from (("", TrainConfig), ("", DataConfig))
    for name in describe("models"):
        yield name, variant(name).config


def test_the_file_is_what_the_command_prints():
    printed = runpy.run_path(str(ROOT / ".ci" / "settings"))["text"]()
    there = (ROOT / "pyrovae/training/typed.py").read_text(encoding="utf-8")
    assert there == printed, "an option has changed: run .ci/settings, which prints pyrovae/training/typed.py"


def test_every_option_has_a_type_and_a_line_of_help():
    options = {key for _, config in configs() for key in config.model_fields}
    assert set(get_type_hints(FitSettings)) == options
    assert set(get_type_hints(CompareSettings)) == options - {"seed"}
    doc = f"{CompareSettings.__doc__}{FitSettings.__doc__}"
    assert not [key for key in options if f"\n        {key}: " not in doc]
    assert "lr: learning rate [default: 0.002]" in doc and "compile=False runs eager Pyro" in doc


def test_types_take_the_defaults_and_refuse_what_is_none():
    takes = {key: TypeAdapter(type_) for key, type_ in get_type_hints(FitSettings).items()}
    for _, config in configs():
        for key, info in config.model_fields.items():
            takes[key].validate_python(info.default, strict=True)
    for key, value in {"epochs": 3, "latent_dim": 2, "hidden": [3], "data_root": "x"}.items():
        takes[key].validate_python(value)
    for key, value in {"epochs": "x", "schedule": "cosin", "latent_dim": "x", "lr": None, "precision": "64"}.items():
        with pytest.raises(ValidationError):
            takes[key].validate_python(value)


@pytest.mark.parametrize(("verb", "settings"), [(pyrovae.fit, FitSettings), (pyrovae.compare, CompareSettings)])
def test_a_verb_is_typed_by_them_in_each_of_its_forms(verb, settings):
    """A class or function has options of its own, which no list of ours knows."""
    whole = inspect.signature(verb).parameters
    named, made = (inspect.signature(form).parameters for form in get_overloads(verb))
    assert named["settings"].annotation == whole["settings"].annotation == f"Unpack[{settings.__name__}]"
    assert made["settings"].annotation == "object"
    for form in (named, made):
        assert list(form) == list(whole)
        same = [name for name in whole if name not in ("model", "settings")]
        assert [form[name] for name in same] == [whole[name] for name in same]
    assert f"**settings: 'Unpack[{settings.__name__}]'" in pydoc.plain(pydoc.render_doc(verb))
    assert getattr(pyrovae, settings.__name__) is settings
