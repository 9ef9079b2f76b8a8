"""What was meant by a wrong name, and what a shell completes; neither needs torch."""

import json
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from commands import run, the_error

from pyrovae.aliases import SYNONYMS, bare
from pyrovae.cli import cli
from pyrovae.errors import did_you_mean, likely

MEANT = {  # command line -> what is said
    "train": "did you mean 'fit'?",
    "plot": "did you mean 'sample' or 'reconstruct'?",
    "ls": "did you mean 'runs' or 'models'?",
    "generate": "did you mean 'sample'?",
    "score": "did you mean 'evaluate' or 'loglik'?",
    "test": "did you mean 'evaluate' or 'loglik'?",
    "help": "did you mean '--help'?",
    "fti": "did you mean 'fit'?",
    "fit --model VAE": "did you mean 'vae'?",
    "fit --model Vae": "did you mean 'vae'?",
    "fit --model VEA": "did you mean 'vae'?",
    "fit --model vae --guide IAF": "did you mean 'iaf'?",
    "fit --model vae --guide RealNVP": "did you mean 'coupling'?",
    "fit --model vae --data MNIST": "did you mean 'mnist'?",
    "fit --model vae --data fashion_mnist": "did you mean 'fashion'?",
    "fit --model vae --likelihood gaussian": "did you mean 'normal'?",
    "fit --model vae --learning-rate 1": "Did you mean '--lr'?",
    "fit --model vae --batch 1": "Did you mean '--batch-size'?",
    "fit --model vae --n-epochs 1": "Did you mean '--epochs'?",
    "fit --model vae --output runs/x": "Did you mean '--out'?",
    "fit --model vae --latent 1": "Did you mean '--latent-dim'?",
    "fit --model vae --gpu 1": "Did you mean '--device'?",
    "loglik run --num-samples 1": "Did you mean '--samples'?",
    "models --jsn": "Did you mean '--json'?",
}


@pytest.mark.parametrize("line", MEANT)
def test_the_name_that_was_meant_is_named(line):
    result = run(*line.split())
    assert result.exit_code == 2
    assert MEANT[line] in the_error(result.stderr)


def test_each_synonym_stands_for_something_and_for_no_name_of_ours():
    options = {each for name in cli.files() for each in _options(name)}
    names = {name for kind in _kinds().values() for name in kind} | {"runs"}
    known = {bare(each) for each in options | names | set(cli.files())}
    assert not [word for word in SYNONYMS if word != bare(word)]
    assert not [each for found in SYNONYMS.values() for each in found if bare(each) not in known]


def _kinds():
    from pyrovae import registry
    from pyrovae.data import sources

    kinds = ("models", "guides", "objectives", "likelihoods", "priors")
    return {kind: registry.describe(kind) for kind in kinds} | {"data": sources()}


def _options(command):
    given = {"fit": ["--model", "vae"]}.get(command, [])
    ctx = cli.get_command(None, command).make_context(command, given, resilient_parsing=True)
    return [option for param in ctx.command.get_params(ctx) for option in param.opts]


def test_a_name_that_is_there_is_no_synonym_and_what_nothing_is_like_lists_all():
    assert likely("Learning_Rate", ["lr", "learning_rates"]) == ["lr"]
    assert likely("train", ["train_all"]) == ["train_all"]
    assert did_you_mean("zzz", ["b", "a"]) == " (there is: a, b)"


COMPLETED = {  # words before -> what is begun, what is among the completions
    "fit --model": ("", "cvae"),
    "fit --guide": ("ia", "iaf"),
    "fit --guide  ": ("z1=iaf,z2=fu", "z1=iaf,z2=full"),
    "fit --data": ("dig", "digits"),
    "fit --model vae --likelihood": ("ber", "bernoulli"),
    "fit --model vae --prior": ("va", "vamp"),
    "fit --objective": ("iw", "iwae"),
    "fit --resume": ("ru", "runs/one"),
    "fit --device": ("c", "cuda"),
    "compare --model vae --guides": ("full,ia", "full,iaf"),
    "check": ("tex", "textvae"),
    "loglik --method": ("a", "ais"),
    "loglik --proposal": ("w", "widened"),
    "loglik": ("runs/o", "runs/one"),
    "evaluate --data": ("mni", "mnist"),
    "inspect": ("", "runs/one"),
    "sample": ("runs/deep/", "runs/deep/two"),
    "fi": ("fi", "fit"),
}

CODE = """
import json, sys
from click.shell_completion import ShellComplete
from pyrovae.cli import cli
shell = ShellComplete(cli, {}, "pyrovae", "_PYROVAE_COMPLETE")
found = {}
for words, incomplete in json.loads(sys.argv[1]).items():
    args = words.split() if words != "fi" else []
    found[words] = [item.value for item in shell.get_completions(args, incomplete)]
print(json.dumps(found))
assert "torch" not in sys.modules
"""


def test_values_and_runs_are_completed_without_torch(tmp_path):
    for name in ("one", "deep/two", ".hidden"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{}")
    begun = {words: incomplete for words, (incomplete, _) in COMPLETED.items()}
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(begun)], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not [words for words, (_, value) in COMPLETED.items() if value not in found[words]], found
    assert not [value for words in ("inspect", "loglik") for value in found[words] if "hidden" in value]


def test_a_path_is_left_to_the_shell():
    shell = ShellComplete(cli, {}, "pyrovae", "_PYROVAE_COMPLETE")
    for words in (["fit", "--model"], ["fit", "--data"], ["inspect"]):
        (item,) = shell.get_completions(words, "./nowhere/my_")
        assert (item.type, item.value) == ("file", "./nowhere/my_")
