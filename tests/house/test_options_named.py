"""Messages of the library name an option as Python writes it, and on the command line as one types it."""

import ast
import re

import numpy as np
import pytest
from commands import run
from test_names import ROOT, files

import pyrovae
from pyrovae.errors import PyrovaeError, dashed, option
from pyrovae.evaluation.latents.diagnosis import Findings, diagnosis

FLAG = re.compile(r"(?<!-)--(no-)?([a-z]|$)")

ALLOWED = {
    "pyrovae/plots/learning.py": "a dashed line",
    "pyrovae/config.py": "what the command line makes of a field",
    "pyrovae/errors.py": "where the dashes are written",
    "pyrovae/reproduction/recipes.py": "whole commands",
    "pyrovae/runs/inspection.py": "a whole command",
    "pyrovae/runs/loading.py": "a whole command",
}


def flags(source):
    """The string literals of a file that hold an option with dashes; not the help of the command line, which an
    option's `description` is."""
    tree = ast.parse(source)
    described = [
        keyword.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "description"
    ]
    helps = {id(node) for value in described for node in ast.walk(value)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in helps
        and FLAG.search(node.value)
    ]


def library():
    for room in (ROOT / "pyrovae", ROOT / "models"):
        yield from files(room)


def test_no_message_of_the_library_has_dashes():
    found = {str(path.relative_to(ROOT)): flags(path.read_text(encoding="utf-8")) for path in library()}
    assert {path: literals for path, literals in found.items() if literals and path not in ALLOWED} == {}
    assert {path for path in ALLOWED if not found[path]} == set()


@pytest.mark.parametrize("source", ['f"lower --lr"', '"--no-z: why"', "f'--{name} {value}'", '"""Of --alpha."""'])
def test_an_option_with_dashes_is_found(source):
    assert flags(source)


@pytest.mark.parametrize(
    "source", ['Option(0, description="of --prior flow")', '"a -- b"', '"---x"', 'option("lr", 1)']
)
def test_what_is_no_option_is_not(source):
    assert not flags(source)


@pytest.mark.parametrize(
    ("arguments", "python", "typed"),
    [
        (("kl_warmup",), "kl_warmup", "--kl-warmup"),
        (("kl_warmup", 10.0), "kl_warmup=10", "--kl-warmup 10"),
        (("free_bits", 0.25), "free_bits=0.25", "--free-bits 0.25"),
        (("particles", 2), "particles=2", "--particles 2"),
        (("objective", "elbo"), "objective='elbo'", "--objective elbo"),
        (("compile", False), "compile=False", "--no-compile"),
        (("stream", True), "stream=True", "--stream"),
        (("resume", ROOT), f"resume='{ROOT}'", f"--resume {ROOT}"),
        (("method", "is", "log_likelihood"), "log_likelihood", "--method is"),
        (("beta", 2, None, "fit"), "beta=2", "`fit --beta 2`"),
    ],
)
def test_an_option_has_two_forms(arguments, python, typed):
    assert option(*arguments) == python
    with dashed():
        assert option(*arguments) == typed
    assert option(*arguments) == python


def test_dashes_end_with_an_error():
    with pytest.raises(PyrovaeError), dashed():
        raise PyrovaeError(option("lr"))
    assert option("lr") == "lr"


@pytest.mark.parametrize(
    ("options", "arguments", "python", "typed"),
    [
        (
            {"objective": "iwae"},
            "--objective iwae",
            "objective='iwae' is a bound of K samples: give particles=2 or more",
            "--objective iwae is a bound of K samples: give --particles 2 or more",
        ),
        (
            {"objective": "iwae", "particles": 2, "kl_warmup": 3},
            "--objective iwae --particles 2 --kl-warmup 3",
            "objective='iwae' has no KL term to weigh: set kl_warmup to 0",
            "--objective iwae has no KL term to weigh: set --kl-warmup to 0",
        ),
        (
            {"objective": "renyi:alpha=0.5", "alpha": 0.25},
            "--objective renyi:alpha=0.5 --alpha 0.25",
            "objective='renyi:alpha=0.5' and alpha=0.25 disagree: give alpha once",
            "--objective renyi:alpha=0.5 and --alpha 0.25 disagree: give alpha once",
        ),
        ({"image_size": 2}, "--image-size 2", "image_size=2: data", "--image-size 2: data"),
        (
            {"momentum": 0.5},
            "--momentum 0.5",
            "momentum is of optimizer='rmsprop', not of adam",
            "--momentum is of --optimizer rmsprop, not of adam",
        ),
        ({"stream": True}, "--stream", "stream=True: data", "--stream: data"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("--") else "",
)
def test_an_error_has_two_forms(tmp_path, options, arguments, python, typed):
    data = tmp_path / "vectors.npz"
    np.savez(data, x=np.zeros((20, 3), dtype=np.float32))
    with pytest.raises(PyrovaeError) as told:
        pyrovae.fit("vae", data=str(data), epochs=1, show=False, **options)
    assert python in str(told.value)
    assert "--" not in str(told.value)
    command = run("fit", "--model", "vae", "--data", data, "--epochs", "1", *arguments.split())
    assert typed in command.stderr
    assert command.exit_code == told.value.exit_code


def test_advice_has_two_forms():
    figures = Findings(units=3, active=0, rate=0.0, swap=0.0, information=0.0, cap=9.0)
    options = {"beta": 4.0, "free_bits": 0.25, "kl_warmup": 0.0, "epochs": 20}
    python = " ".join(diagnosis(figures, options))
    assert "try beta=1 (it was 4), free_bits=0.5, kl_warmup=10" in python
    with dashed():
        typed = " ".join(diagnosis(figures, options))
    assert "try `fit --beta 1` (it was 4), `fit --free-bits 0.5`, `fit --kl-warmup 10`" in typed
