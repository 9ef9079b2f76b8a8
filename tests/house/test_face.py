"""What a person meets first in Python: names to complete, help, and paths as str or Path."""

import pydoc
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pyrovae


@pytest.fixture(scope="module")
def run():
    options = {"epochs": 1, "latent_dim": 2, "hidden": (4,), "score_samples": 2, "show": False, "compile": False}
    return pyrovae.fit("vae", data=torch.rand(40, 1, 4, 4).round(), **options)


def test_completion_names_what_is_public_before_it_is_loaded():
    code = (
        "import sys, pyrovae, pyrovae.data\n"
        "names = dir(pyrovae)\n"
        "missing = {'fit', 'load', 'compare', 'Pair', 'Run', 'check', 'plots', *pyrovae.__all__} - set(names)\n"
        "assert not missing, missing\n"
        "assert [n for n in names if n[0] != '_' and n not in (*pyrovae.__all__, *pyrovae._ROOMS)] == [], names\n"
        "assert {'Dataset', 'with_quadrants', 'load'} <= set(dir(pyrovae.data))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_the_completion_is_there():
    assert not [name for name in dir(pyrovae) if not hasattr(pyrovae, name)]
    assert not [name for name in dir(pyrovae.data) if not hasattr(pyrovae.data, name)]


def test_help_tells_what_is_to_be_called():
    text = pydoc.plain(pydoc.render_doc(pyrovae))
    for name in ("fit", "load", "compare", "check", "pictures", "log_likelihood"):
        assert f"pyrovae.{name}(" in text or f"run.{name}(" in text, name
        assert f"\n    {name}(" in text, f"{name} has no section of its own"


@pytest.mark.parametrize("of", [str, Path])
def test_paths_are_str_or_path(run, tmp_path, of):
    folder = tmp_path / "new" / "pictures"
    made = pyrovae.pictures(run, of(folder))
    assert made and all(isinstance(path, Path) and path.is_file() for path in made)
    assert {path.parent for path in made} == {folder}
    run.save(of(tmp_path / "new" / "run"))
    pyrovae.plots.curves(run.metrics, of(tmp_path / "other" / "curves.png"))
    again = pyrovae.load(of(tmp_path / "new" / "run"))
    again.move_data(of(tmp_path))
    assert again.recipe.data_options.data_root == tmp_path
