"""What is wrong with a command line is said before torch is imported, which takes seconds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from damage import edited

KEPT = Path(__file__).parents[1] / "runs" / "kept"

BAD = {  # command line -> what is said
    "fti": "did you mean 'fit'?",
    "models --jsn": "Did you mean '--json'?",
    "fit": "which model?",
    "fit --model vea": "did you mean 'vae'?",
    "fit --model nowhere.py:MyVAE": "there is no file nowhere.py",
    "fit --model my.py:": "is no name of your own code",
    "fit --model vae --guide iaff": "did you mean 'iaf'?",
    "fit --model vae --guide iaf:stpes=2": "did you mean 'steps'?",
    "fit --model vae --guide iaf:steps=0": "greater than or equal to 1",
    "fit --model hvae --guide z1=iaf,z2=ful": "did you mean 'full'?",
    "fit --model vae --data nowhere": "there is no data set 'nowhere'",
    "fit --model vae --data nowhere.npy": "there is no such file or folder",
    "fit --model vae --data table.xls": "a file must be .npy",
    "fit --model vae --lr 0": "lr = 0.0",
    "fit --model vae --latent-dim 0": "latent_dim = 0",
    "fit --model vae --activation gelu": "'gelu' is not one of",
    "fit --model vae --held-out 1.5": "a fraction below 1",
    "fit --model vae --objective elbbo": "did you mean 'elbo'?",
    "fit --model vae --objective renyi:alpha=x": "alpha = 'x'",
    "fit --model vae --likelihood norml": "did you mean 'normal'?",
    "fit --model vae --likelihood normal:scale=no": "scale = 'no'",
    "fit --model vae --prior vmp": "did you mean 'vamp'?",
    "fit --model vae --prior flow:steps=0": "steps = '0'",
    "fit --model vae --device gpu": "there is no device 'gpu'",
    "fit --model vae --max-memory 3XB": "is no size of memory",
    "fit --model vae --out .": "with other things in it",
    "fit --model vae --out vector": "there is a run in vector already",
    "fit --model vae --overwrite": "and there is none: give --out",
    "fit --config nowhere.toml": "config file nowhere.toml",
    "fit --config wrong.toml": "did you mean 'latent_dim'?",
    "fit --resume nowhere": "is not a run directory",
    "fit --resume own": "only run with --trust",
    "fit --resume vector --model vae": "leave it out",
    "fit --freeze-model nowhere": "is not a run directory",
    "fit --freeze-model own": "only run with --trust",
    "fit --freeze-model vector --guide iaff": "did you mean 'iaf'?",
    "compare --model vae": "compare needs --model NAME and --guides",
    "compare --model vae --guides full,iaff": "did you mean 'iaf'?",
    "compare --model vae --guides full --data nowhere.npy": "there is no such file",
    "compare --freeze-model own --guides full": "only run with --trust",
    "compare nowhere vector": "nowhere is not a run directory",
    "compare vector own": "only run with --trust",
    "compare vector --data nowhere": "there is no data set",
    "runs nowhere": "nowhere is no folder",
    "check vea": "did you mean 'vae'?",
    "check vae --data nowhere": "there is no data set",
    "check vae --latent-dim 0": "latent_dim = 0",
    "loglik nowhere": "is not a run directory",
    "loglik table.xls": "it is a file",
    "loglik own": "only run with --trust",
    "loglik vector --device gpu": "there is no device 'gpu'",
    "loglik vector --method iss": "is not one of 'is'",
    "loglik vector --out x.txt": "end the name in",
    "loglik vector --out x.png": "a .png shows the data of --worst N",
    "loglik vector --out no/x.csv": "there is no folder no",
    "loglik vector --samples 0": "is not in the range",
    "loglik vector --wider 2": "--wider has no effect",
    "loglik vector --data nowhere.npy": "there is no such file or folder",
    "loglik vector --max-memory much": "is no size of memory",
    "evaluate vector --data table.xls": "a file must be .npy",
    "evaluate vector --baseline nowhere": "nowhere is not a run directory",
    "evaluate vector --evenly": "there is no limit",
    "gap own": "only run with --trust",
    "gap vector --out x.txt": "end the name in",
    "encode vector --out x.txt": "end the name in",
    "encode vector --picture x.gif": "end the name in .png",
    "sample vector --out x.gif": "end the name in",
    "sample vector --given y": "write NAME=NUMBER",
    "reconstruct vector --data nowhere": "there is no data set",
    "interpolate broken": "is damaged",
    "inspect nowhere": "is not a run directory",
    "reproduce nowhere": "shows no recipe",
    "reproduce iwae-iwae-5 --data nowhere": "there is no data set",
    "selftest --device gpu": "there is no device 'gpu'",
}

CODE = """
import json, sys
from click.testing import CliRunner
from pyrovae.cli import cli
said = {}
for line in json.loads(sys.argv[1]):
    result = CliRunner().invoke(cli, line.split(), prog_name="pyrovae")
    said[line] = [result.exit_code, result.stderr, "torch" in sys.modules]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Exit code, sentence, and whether torch was there by then, of each line, in one new interpreter."""
    folder = tmp_path_factory.mktemp("lines")
    for name in ("vector", "own", "broken"):
        shutil.copytree(KEPT / "vector", folder / name)
    edited(folder / "own", lambda content: content["recipe"].update(model="my.py:MyVAE"))
    (folder / "broken" / "run.json").write_text("{}")
    (folder / "table.xls").write_text("")
    (folder / "wrong.toml").write_text('model = "vae"\nlatent_dims = 3\n')
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(list(BAD))], capture_output=True, text=True, cwd=folder, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert sorted(folder.rglob("*")) == before
    return json.loads(done.stdout)


@pytest.mark.parametrize("line", BAD)
def test_it_is_said_before_torch_is_imported(said, line):
    code, sentence, with_torch = said[line]
    assert BAD[line] in sentence
    assert code == (1 if "is damaged" in sentence else 2)
    assert not with_torch
