"""Bad input: one sentence that names the thing and the cure, the right exit code, and nothing on the disk."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from commands import QUICK, TINY, done, fit_all, listing, run, the_error, write_data
from damage import edited, replaced

import pyrovae
from pyrovae.runs.schema import PATHS

FIT = ("fit", "--out", "new", *QUICK)

NEEDED = ("label", "quadrants", "vector", "text", "words", "own")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of the data with the runs of NEEDED in it."""
    folder = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_data(folder)
        fit_all(NEEDED)
        done("fit", "--model", "vae", "--data", "four.npy", *TINY, "--out", "few", "--quiet")
    return folder


@pytest.fixture(autouse=True)
def here(runs, monkeypatch):
    """Commands run in the folder of the runs."""
    monkeypatch.chdir(runs)
    return runs


def short(args):
    """The name of a test: a command without the options that all have."""
    text = " ".join(map(str, args))
    return (
        text.replace(" ".join(FIT), "fit").replace(" ".join(TINY), "").replace(" --hidden 4 --model", " --model")[:90]
    )


def refused(args, code, says):
    """Asserts what every refusal owes: exit code, one sentence, nothing on stdout, nothing on the disk."""
    before = listing(Path())
    result = run(*args)
    sentence = the_error(result.stderr)
    assert (result.exit_code, result.stdout) == (code, ""), (args, result.output)
    assert says in sentence
    assert "--debug" not in sentence  # every one of these is foreseen
    assert listing(Path()) == before
    return sentence


def fit(*args, model="vae", data="vectors.npy"):
    return (*FIT, "--hidden", "4", "--model", model, "--data", data, *args)


def guide(spec):
    return fit("--guide", spec)


NAMES = [
    (("fti",), 2, "did you mean 'fit'?"),
    (("fit",), 2, "which model? --model"),
    (("fit", "--model", ""), 2, "there is no model ''"),
    (("fit", "--model", "vea"), 2, "did you mean 'vae'?"),
    (("fit", "--model", "quantum"), 2, "(there is: cvae, hvae, iaf, ssvae, textvae, vae)"),
    (("fit", "--model", "my_model.py"), 2, "name the class or function in it, my_model.py:MyVAE"),
    (("fit", "--model", "my_model.py:"), 2, "write my_model.py:MyVAE or package.module:MyVAE"),
    (("fit", "--model", ":MyVAE"), 2, "write my_model.py:MyVAE or package.module:MyVAE"),
    (("fit", "--model", ".a:MyVAE"), 2, "write my_model.py:MyVAE or package.module:MyVAE"),
    (("fit", "--model", "my_model.py:MyVAF"), 2, "did you mean 'MyVAE'?"),
    (("fit", "--model", "nowhere.py:MyVAE"), 2, "there is no file nowhere.py"),
    (("fit", "--model", "no.where:MyVAE"), 2, "cannot import no.where"),
    (("fit", "--model", "broken.py:f"), 2, "broken.py does not run: SyntaxError"),
    (("fit", "--model", "exits.py:f"), 2, "exits.py does not run: SystemExit"),
    (("fit", "--model", "my_model.py:three"), 2, "must be a Pair, or a class or function that gives one"),
    (("fit", "--model", "my_model.py:needs"), 2, "parameter 'width' needs a default value"),
    (("fit", "--model", "my_model.py:no_pair", "--data", "vectors.npy", "--out", "new"), 2, "must give a pyrovae.Pair"),
    (("fit", "--model", "os:path"), 2, "a module without Config and build"),
    (fit(data=""), 2, "there is no data set ''"),
    (fit(data="dgits"), 2, "did you mean 'digits'?"),
    (fit(data="vektors.npy"), 2, "there is no such file or folder"),
    (fit(data="./vectors"), 2, "there is no such file or folder"),
    (fit(data="mnist"), 2, "--download, or the folder that has MNIST/ with --data-root"),
    (fit("--data-root", "nowhere", data="static-mnist"), 2, "--download"),
    (guide(""), 2, "there is no guide ''"),
    (guide("iaff"), 2, "did you mean 'iaf'?"),
    (guide("iaf,full"), 2, "there is no guide 'iaf,full'"),
    (guide("iaf:stpes=2"), 2, "did you mean 'steps'?"),
    (guide("iaf:steps=x"), 2, "steps = 'x'"),
    (guide("iaf:steps="), 2, "steps = ''"),
    (guide("iaf:steps=0"), 2, "greater than or equal to 1"),
    (guide("iaf:steps=1=2"), 2, "steps = '1=2'"),
    (guide("iaf:steps=1:steps=2"), 2, "given twice"),
    (guide("iaf:"), 2, "'' is no OPTION=VALUE: write iaf, or iaf:option=value"),
    (guide("iaf:steps"), 2, "'steps' is no OPTION=VALUE"),
    (guide("iaf::steps=2"), 2, "'' is no OPTION=VALUE"),
    (guide("iaf:=2"), 2, "has no option ''"),
    (guide("diagonal:rank=2"), 2, "has no option 'rank'"),
    (guide(":"), 2, "is no name of your own code"),
    (guide("my_model.py:three"), 2, "is no guide family"),
    (guide("my_model.py:MyVAE"), 2, "is no guide family: it must be a class or function of (context, features)"),
    (("check", "vea"), 2, "did you mean 'vae'?"),
    (("check",), 2, "Missing argument 'NAME'"),
    (("check", "--data", "vectors.npy", "vae"), 2, "the name comes first"),
    (("check", "vae", "--guide", "iaff"), 2, "did you mean 'iaf'?"),
    (("check", "vae", "--data", "nan.npy"), 1, "NaN"),
    (("models", "extra"), 2, "unexpected extra argument"),
    (("data", "--jsn"), 2, "Did you mean '--json'?"),
]

OPTIONS = [
    (fit("--hiden", "4"), 2, "'--hidden'"),
    (fit("--latent-dims", "4"), 2, "Did you mean '--latent-dim'?"),
    (fit("--condition", "quadrants"), 2, "No such option '--condition'"),
    (("fit", "--latent-dim", "2"), 2, "the options of a model need --model NAME"),
    (fit("extra"), 2, "unexpected extra argument"),
    (fit("--epochs"), 2, "requires an argument"),
    (fit("--epochs", "0"), 2, "epochs = 0: input should be greater than or equal to 1"),
    (fit("--epochs", "1.5"), 2, "'1.5' is not a valid integer"),
    (fit("--latent-dim", "0"), 2, "latent_dim = 0: input should be greater than or equal to 1"),
    (fit("--latent-dim", "-3"), 2, "latent_dim = -3"),
    (fit("--latent-dim", "1000000000000"), 1, "there is not enough memory: lower"),
    (fit("--hidden", "0"), 2, "hidden = 0: input should be greater than or equal to 1"),
    (fit("--hidden", ","), 2, "is no list with commas, such as 200,200"),
    (fit("--hidden", ""), 2, "hidden = (): give at least one value"),
    (fit("--hidden", "4;4"), 2, "is no list with commas"),
    (fit("--activation", "gelu"), 2, "'gelu' is not one of 'tanh'"),
    (fit("--lr", "nan"), 2, "lr = nan: input should be a finite number"),
    (fit("--lr", "inf"), 2, "lr = inf: input should be a finite number"),
    (fit("--lr", "0"), 2, "lr = 0.0: input should be greater than 0"),
    (fit("--lr", "fast"), 2, "'fast' is not a valid float"),
    (fit("--lr", "1e30"), 1, "lower --lr"),
    (fit("--beta", "inf"), 2, "beta = inf"),
    (fit("--kl-warmup", "inf"), 2, "kl_warmup = inf"),
    (fit("--free-bits", "inf"), 2, "free_bits = inf"),
    (fit("--clip", "-1"), 2, "clip = -1.0"),
    (fit("--sigma", "1e300"), 2, "sigma = 1e+300"),
    (fit("--sigma", "0"), 2, "sigma = 0.0"),
    (fit("--seed", "-1"), 2, "seed = -1"),
    (fit("--seed", "99999999999"), 2, "seed = 99999999999: input should be less than 2147483648"),
    (fit("--particles", "0"), 2, "particles = 0"),
    (fit("--batch-size", "0"), 2, "batch_size = 0"),
    (fit("--batch-size", "33"), 2, "batch size 33 is larger than the 32 training data: set it to 32 or less"),
    (fit("--score-samples", "0"), 2, "score_samples = 0"),
    (fit("--held-out", "0"), 2, "held_out = 0.0"),
    (fit("--held-out", "inf"), 2, "held_out = inf"),
    (fit("--held-out", "1.5"), 2, "a fraction below 1, or a whole number of data"),
    (fit("--held-out", "0.6"), 2, "--held-out 0.6 takes 2 x 24 of the 40 training data"),
    (fit("--image-size", "4"), 2, "vectors, not images"),
    (fit("--binarize", "dynamic"), 2, "scale it to [0, 1] first"),
    (fit("--device", "cuda:99"), 2, "CUDA devices: take --device cpu or auto"),
    (fit("--device", "gpu"), 2, "there is no device 'gpu'"),
    (fit("--device", "meta"), 2, "take auto, cpu, cuda, cuda:1 or mps"),
    (fit("--net", "conv"), 2, "take --net mlp"),
    (fit("--likelihood", "bernoulli"), 2, "take --likelihood normal"),
    (
        fit("--likelihood", "bernoulli", "--binarize", "none", data="images.npy"),
        2,
        "--binarize dynamic|static|threshold",
    ),
    (fit("--word-dropout", "1", model="textvae", data="sentences.txt"), 2, "word_dropout = 1.0"),
    (("fit", "--model", "vae", "--out"), 2, "'--out' requires an argument"),
]

DATA = [
    (fit(data="nan.npy"), 1, "NaN or infinite: mend or leave out these data"),
    (fit(data="one.npy"), 1, "has 1 training data"),
    (fit(data="two.npy"), 1, "has 2 training data, and test and valid must be cut from them: give more"),
    (fit(data="empty.npy"), 1, "give at least one datum"),
    (fit(data="empty_split.npz"), 1, "x of test has shape (0, 8, 7): give at least one datum"),
    (fit(data="objects.npy"), 1, "holds Python objects, which are never loaded"),
    (fit(data="cut.npy"), 1, "is damaged: it announces (40, 5) of float32, 800 bytes, and holds 791"),
    (fit(data="table.csv"), 2, "a file must be .npy, .npz, .amat, .txt or .txt.gz"),
    (fit(data="uneven.npz"), 1, "give all fields the same number of data"),
    (fit(data="notes"), 1, "holds no image"),
    (fit(data="images/"), 1, "holds no image"),
    (fit(model="cvae"), 2, "the model needs the field 'y'"),
    (fit("--condition", "quadrants", model="cvae"), 2, "quadrants need images of at least 2x2"),
    (fit("--condition", "quadrants", model="cvae", data="pixel.npy"), 2, "quadrants need images of at least 2x2"),
    (fit(model="cvae", data="negative.npz"), 1, "holds -2: labels are whole numbers from 0, or -1 where missing"),
    (fit(model="cvae", data="beyond.npz"), 1, "holds 5000 and there are 40 data: number the classes 0, 1, 2"),
    (fit(model="cvae", data="half.npz"), 1, "holds 0.5: labels are whole numbers"),
    (fit(model="textvae", data="images.npy"), 2, "is no text: take --data pydoc, or a text file"),
    (fit(model="textvae"), 2, "is no text"),
    (fit(data="sentences.txt"), 2, "or --model textvae for text"),
    ((*FIT, "--model", "iaf", "--data", "sentences.txt"), 2, "--model textvae for text"),
    (fit(model="textvae", data="blank.txt"), 1, "holds no sentence, 3 blank lines"),
    (fit(model="textvae", data="unknown.txt"), 1, "holds no word of the vocabulary: lower --min-count"),
    (fit("--min-count", "2", model="textvae", data="unknown.txt"), 1, "no word occurs --min-count 2 times"),
    (fit(model="textvae", data="latin.txt"), 1, "is no UTF-8 text"),
    (fit("--max-length", "2", model="textvae", data="sentences.txt"), 2, "raise it"),
    (fit("--vocab", "subword", "--vocab-size", "99", model="textvae", data="sentences.txt"), 2, "give 260 or more"),
    (fit("--binarize", "static", model="textvae", data="sentences.txt"), 2, "is text: leave the option out"),
]

ON_A_RUN = [
    (("loglik",), 2, "Missing argument 'RUN'"),
    (("loglik", "nowhere"), 2, "no such folder): give the folder that `pyrovae fit` printed"),
    (("loglik", "vectors.npy"), 2, "is not a run directory (it is a file)"),
    (("loglik", "notes"), 2, "there is no run.json in it"),
    (("loglik", "label", "--split", "foo"), 2, "'foo' is not one of 'train', 'valid', 'test'"),
    (("loglik", "label", "--samples", 0), 2, "0 is not in the range 1<=x"),
    (("loglik", "label", "--chunk", 0), 2, "0 is not in the range"),
    (("loglik", "label", "--limit", 0), 2, "0 is not in the range"),
    (("loglik", "label", "--seed", -1), 2, "-1 is not in the range"),
    (("loglik", "label", "--device", "cuda:99"), 2, "take --device cpu or auto"),
    (("loglik", "label", "--out", "x.txt"), 2, "--out x.txt: end the name in .csv, .npz, .parquet or .png"),
    (("loglik", "label", "--out", "no/x.npz"), 2, "there is no folder no"),
    (("loglik", "own"), 2, "your own code, my_model.py:MyVAE: it is only run with --trust"),
    (("evaluate", "notes"), 2, "is not a run directory"),
    (("encode", "label", "--out", "x.txt"), 2, "--out x.txt: end the name in .csv, .npz or .parquet"),
    (("encode", "label", "--picture", "x.gif"), 2, "--picture x.gif: end the name in .png"),
    (("encode", "words"), 2, "has no latent site"),
    (("encode", "words", "--picture", "x.png"), 2, "has no latent site"),
    (("sample", "label", "-n", 0), 2, "0 is not in the range 1<=x"),
    (("sample", "text", "--out", "x.npz"), 2, "text goes to stdout"),
    (("reconstruct", "vector", "--out", "x.png"), 2, "--out FILE.npz"),
    (("sample", "label", "--given", "nonsense"), 2, "write NAME=NUMBER"),
    (("sample", "label", "--given", "y="), 2, "write NAME=NUMBER"),
    (("sample", "label", "--given", "y=a"), 2, "y = a: give a number"),
    (("sample", "label", "--given", "=3"), 2, "write NAME=NUMBER"),
    (("sample", "label", "--given", "w=3"), 2, "'w' is neither a condition nor a latent site (there is: y, z)"),
    (("sample", "label", "--given", "x=3"), 2, "'x' is neither a condition nor a latent site"),
    (("sample", "label", "--given", "y=3"), 2, "y = 3 is no class: give a whole number from 0 to 2, or -1 for none"),
    (("sample", "label", "--given", "y=-2"), 2, "y = -2 is no class"),
    (("sample", "label", "--given", "y=9", "--out", "x.npz"), 2, "y = 9 is no class"),
    (("sample", "vector", "--given", "z=inf,0", "--out", "x.npz"), 2, "z = inf: give a finite number"),
    (("sample", "text", "--given", "z=nan"), 2, "z = nan: give a finite number"),
    (("sample", "label", "--given", "y=0.5"), 2, "y = 0.5 is no class"),
    (("sample", "label", "--given", "z=nan,0"), 2, "z = nan: give a finite number"),
    (("sample", "label", "--given", "z=1,2,3"), 2, "z: a value of shape (3,) does not fit"),
    (("sample", "label", "--given", "y=1", "--given", "y=2"), 2, "y is given twice"),
    (("sample", "quadrants", "--given", "y=1"), 2, "y is the given part of the test images"),
    (("sample", "words", "--given", "z=1"), 2, "'z' is neither a condition nor a latent site"),
    (("sample", "label", "-n", 10**12, "--out", "x.npz"), 2, "is not in the range 1<=x<=1000000"),
    (("loglik", "label", "--samples", 10**12), 2, "is not in the range 1<=x<=1000000000"),
    (("reconstruct", "vector"), 2, "these data are no images"),
    (("reconstruct", "text", "--out", "x.npz"), 2, "text goes to stdout"),
    (("interpolate", "label", "--rows", 0), 2, "0 is not in the range"),
    (("interpolate", "label", "--steps", 1), 2, "1 is not in the range 2<=x"),
    (("interpolate", "few", "--out", "x.npz"), 2, "needs two data, and there is one"),
    (("interpolate", "vector", "--out", "images"), 2, "end the name in .png, .csv, .npz or .parquet"),
]

COMPARE = ("compare", "--data", "vectors.npy", "--out", "new", *TINY, "--model")

COMPARISONS = [
    (("compare", "--model", "vae"), 2, "compare needs --model NAME and --guides"),
    ((*COMPARE, "vae", "--guides", "diagonal,iaff"), 2, "did you mean 'iaf'?"),
    ((*COMPARE, "vae", "--guides", "diagonal,"), 2, "there is no guide ''"),
    ((*COMPARE, "vae", "--guides", "full,full"), 2, "guide full is named twice"),
    ((*COMPARE, "vae", "--guides", "full", "--seeds", "1,1"), 2, "seed 1 is named twice"),
    ((*COMPARE, "vae", "--guides", "full", "--seeds", "0,-1"), 2, "-1 is not in the range"),
    ((*COMPARE, "vae", "--guides", "full", "--seeds", ""), 2, "at least one guide and one seed"),
    ((*COMPARE, "vae", "--guides", "full", "--seeds", "a"), 2, "is no list with commas"),
    ((*COMPARE, "vae", "--guides", "full", "--seed", "1"), 2, "compare takes --seeds 0,1,2, not --seed"),
    ((*COMPARE, "vae", "--guides", "full", "--lr", "inf"), 2, "lr = inf"),
    ((*COMPARE, "vae", "--guides", "full", "--data", "nan.npy"), 1, "NaN or infinite"),
    ((*COMPARE, "vae", "--guides", "full", "--out", "notes"), 2, "holds no comparison: give a new folder"),
    ((*COMPARE, "vae", "--guides", "full", "--out", "nan.npy"), 2, "is a file"),
    ((*COMPARE, "vae", "--guides", "full", "--out", "label"), 2, "holds no comparison"),
]

FROZEN = ("compare", "--out", "new", "--guides", "full", "--freeze-model")

FREEZING = [
    ((*FROZEN, "nowhere"), 2, "--freeze-model nowhere is not a run directory"),
    ((*FROZEN, "notes"), 2, "--freeze-model notes is not a run directory"),
    ((*FROZEN, "own"), 2, "only run with --trust"),
    ((*FROZEN, "vector", "--model", "cvae"), 2, "is a run of model vae, not of cvae: leave the model out"),
    ((*FROZEN, "vector", "--data", "four.npy"), 1, "--freeze-model vector is frozen with its data"),
    ((*FROZEN, "vector", "--data", "nowhere.npy"), 2, "no such file"),
    ((*FROZEN, "vector", "--latent-dim", 9), 2, "--latent-dim 9 contradicts --freeze-model vector, which has 2"),
    ((*FROZEN, "vector", "--held-out", 9), 2, "--held-out 9 contradicts"),
    ((*FROZEN, "vector", "--condition", "label"), 2, "No such option"),
    ((*FROZEN, "vector", "--guides", "full,full"), 2, "guide full is named twice"),
    ((*FROZEN, "vector", "--baseline", "iaf"), 2, "baseline iaf is none of the guides full"),
    ((*FROZEN, "vector", "--lr", "inf"), 2, "lr = inf"),
    (("compare", "--freeze-model", "vector"), 2, "compare needs --model NAME and --guides"),
    (("fit", "--out", "new", "--freeze-model", "vector", "--guide", "iaff"), 2, "did you mean 'iaf'?"),
    (("fit", "--out", "new", "--freeze-model", "nowhere"), 2, "not a run directory"),
]

OUT = [
    ((*fit(), "--out", "notes"), 2, "notes is a folder with other things in it: give a new folder for the run"),
    ((*fit(), "--out", "notes", "--overwrite"), 2, "with other things in it"),
    ((*fit(), "--out", "nan.npy"), 2, "nan.npy is a file: give a folder for the run"),
    ((*fit(), "--out", "nan.npy/run"), 1, "nan.npy"),
    (
        (*fit(), "--out", "label"),
        2,
        "there is a run in label already: take another --out, --overwrite, or `fit --resume label`",
    ),
    (("fit", "--model", "vae", "--overwrite"), 2, "--overwrite replaces what is in --out DIR, and there is none"),
    ((*COMPARE[:3], "--overwrite", "--model", "vae", "--guides", "full"), 2, "and there is none: give --out"),
    ((*fit(), "--out", ""), 2, "with other things in it"),
    ((*fit(), "--lr", "1e30", "--out", "label", "--overwrite"), 1, "lower --lr"),  # the old run stays
    ((*fit(data="nan.npy"), "--out", "label", "--overwrite"), 1, "NaN"),
    ((*fit(), "--out", "/proc/nowhere/run"), 1, "/proc/nowhere"),
]

TABLE = [*NAMES, *OPTIONS, *DATA, *ON_A_RUN, *COMPARISONS, *FREEZING, *OUT]


@pytest.mark.parametrize(("args", "code", "says"), TABLE, ids=[short(row[0]) for row in TABLE])
def test_one_sentence_and_nothing_written(args, code, says):
    refused(args, code, says)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--debug", *fit(data="nan.npy")), 1, "NaN"),
        ((*fit(data="nan.npy"), "--debug"), 1, "NaN"),
        (("fit", "--model", "vea", "--debug"), 2, "did you mean 'vae'?"),
        (("loglik", "nowhere", "--debug"), 2, "not a run directory"),
        (("sample", "label", "--given", "y=9", "--debug"), 2, "is no class"),
    ],
)
def test_debug_shows_the_traceback(args, code, says):
    before = listing(Path())
    result = run(*args)
    assert result.exit_code == code
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert says in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert listing(Path()) == before


def test_an_error_that_nobody_foresaw_is_one_line_as_well(monkeypatch):
    monkeypatch.setattr(pyrovae.training.fit, "train", lambda *args, **options: 1 / 0)
    before = listing(Path())
    result = run(*fit())
    assert result.exit_code == 1
    assert the_error(result.stderr) == "ZeroDivisionError: division by zero (run again with --debug to see where)"
    assert listing(Path()) == before


CONFIGS = [
    (None, "config file c.toml: No such file or directory"),
    ("model = ", "is no TOML"),
    ('model = "vae"\n[training]\nepochs = 3', "[training] is a table: write all keys at the top level"),
    ('model = "vae"\nlatent_dims = 3', "has no option 'latent_dims': did you mean 'latent_dim'?"),
    ('model = "vea"', "did you mean 'vae'?"),
    ("model = 3", 'model = 3 is no name: write model = "cvae"'),
    ("latent_dim = 3", "which model? --model"),
    ('model = "vae"\ndata = 3', "data = 3 is no text"),
    ('model = "vae"\nguide = ["full"]', "guide = ['full'] is no text"),
    ('model = "vae"\nout = true', "out = True is no text"),
    ('model = "vae"\nlatent_dim = "many"', "latent_dim = 'many'"),
    ('model = "vae"\nlatent_dim = 2.5', "latent_dim = 2.5"),
    ('model = "vae"\nhidden = 5', "hidden = 5: input should be a valid tuple"),
    ('model = "vae"\nhidden = ["a"]', "hidden = 'a'"),
    ('model = "vae"\nlr = nan', "lr = nan"),
    ('model = "vae"\nepochs = 0', "epochs = 0"),
    ('model = "vae"\nnet = "transformer"', "net = 'transformer'"),
    ('model = "vae"\noverwrite = true', "has no option 'overwrite'"),
]


@pytest.mark.parametrize(("text", "says"), CONFIGS, ids=[str(text) for text, _ in CONFIGS])
def test_config_files(tmp_path, monkeypatch, text, says):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("c.toml").write_text(text)
    refused(("fit", "--config", "c.toml"), 2, says)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("guides = 3", "guides = 3"),
        ('guides = ["full"]\nseeds = 3', "write seeds = [0, 1] in the config file"),
        ('guides = ["full"]\nseeds = ["a"]', "seeds = ['a']"),
        ('guides = ["full"]\nseeds = [0, -1]', "seed = -1"),
        ('guides = ["full"]\nseed = 1', "compare takes --seeds"),
        ('guides = ["full"]\nfreeze_model = 3', "freeze_model = 3 is no text"),
        ('guides = ["full"]\nbaseline = ["full"]', "baseline = ['full'] is no text"),
        ('guides = ["full"]\ntrust = true', "has no option 'trust'"),
    ],
)
def test_config_files_of_compare(tmp_path, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(f'model = "vae"\nepochs = 1\n{line}\n')
    refused(("compare", "--config", "c.toml"), 2, says)


def change(*keys, to):
    """Sets a value of run.json."""

    def set_value(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return lambda path: edited(path.parent, set_value)


def text(content):
    return lambda path: path.write_text(content)


def put(make):
    """Replaces a file by what `make` makes of its bytes, and its checksum with it."""

    def apply(path):
        (role,) = [role for role, name in PATHS.items() if name == path.name]
        replaced(path.parent, role, make(path.read_bytes()))

    return apply


def one_word_less(data):
    content = json.loads(data)
    words = content["model"]["vocab"]
    del words[max(words, key=words.get)]
    return json.dumps(content).encode()


def folder(path):
    path.unlink()
    path.mkdir()


def narrow(data):
    state = safetensors.torch.load(data)
    return safetensors.torch.save({name: tensor[..., :1].contiguous() for name, tensor in state.items()})


DAMAGE = [  # run, file, what is done to it, exit code, what is said
    ("label", "run.json", lambda path: path.write_bytes(path.read_bytes()[:200]), 1, "is no JSON"),
    ("label", "run.json", text(""), 1, "is no JSON"),
    ("label", "run.json", text("[" * 10**5), 1, "is no JSON"),
    ("label", "run.json", text("NaN"), 1, "is no JSON"),
    ("label", "run.json", text("[]"), 1, "is damaged"),
    ("label", "run.json", folder, 1, "it is a folder"),
    ("label", "run.json", Path.unlink, 2, "its fit did not finish"),
    ("label", "run.json", change("format", to=4), 1, "has format 4, this pyrovae reads 3: update pyrovae"),
    ("label", "run.json", change("format", to="1"), 1, "has format '1'"),
    ("label", "run.json", change("recipe", to=None), 1, "is damaged"),
    ("label", "run.json", change("recipe", "model", to="cvea"), 2, "did you mean 'cvae'?"),
    ("label", "run.json", change("recipe", "model", to=3), 1, "is damaged"),
    ("label", "run.json", change("recipe", "model", to="my_model.py:MyVAE"), 2, "only run with --trust"),
    ("label", "run.json", change("recipe", "model", to=None), 2, "handed over in Python"),
    ("label", "run.json", change("recipe", "options", to=3), 1, "is damaged"),
    ("label", "run.json", change("recipe", "options", "latent_dim", to=None), 1, "latent_dim = None"),
    ("label", "run.json", change("recipe", "options", "latent_dim", to=0), 1, "latent_dim = 0"),
    ("label", "run.json", change("recipe", "options", "latent_dim", to=3), 1, "the pair needs"),
    ("label", "run.json", change("recipe", "options", "colour", to=3), 1, "has no option 'colour'"),
    ("label", "run.json", change("recipe", "guide", to=3), 1, "guide = 3"),
    ("label", "run.json", change("recipe", "guide", to="full"), 1, "have no tensor 'guide.q.below"),
    ("label", "run.json", change("recipe", "data", to=3), 1, "data = 3"),
    ("label", "run.json", change("recipe", "data", to=None), 1, "trained on tensors from Python"),
    ("label", "run.json", change("recipe", "data", to="gone.npz"), 1, "give the folder that holds gone.npz now"),
    ("label", "run.json", change("recipe", "data", to="missing.npz"), 1, "are not those of this run (fingerprint"),
    ("label", "run.json", change("recipe", "data_options", "held_out", to=0.2), 1, "are not those of this run"),
    ("label", "run.json", change("recipe", "training", "lr", to="x"), 1, "lr = 'x'"),
    ("label", "run.json", change("fields", to={}), 1, "cannot be built as run.json says"),
    ("label", "run.json", change("fields", "x", "shape", to="ab"), 1, "fields.x.shape = 'ab'"),
    ("label", "run.json", change("fields", "x", "shape", to=[1, -8, 7]), 1, "fields.x.shape.1 = -8"),
    ("label", "run.json", change("fields", "x", "colour", to=3), 1, "is damaged"),
    ("label", "run.json", change("fields", "y", "size", to=None), 1, "cannot be built as run.json says"),
    ("label", "run.json", change("fields", "y", "size", to=7), 1, "the pair needs"),
    ("label", "run.json", change("data", to=None), 1, "is damaged"),
    ("label", "run.json", change("results", to=3), 1, "is damaged"),
    ("label", "weights.safetensors", Path.unlink, 1, "there is no "),
    ("label", "weights.safetensors", folder, 1, "there is no "),
    ("label", "weights.safetensors", text(""), 1, "its checksum differs"),
    ("label", "weights.safetensors", put(lambda data: b""), 1, "cannot be read"),
    ("label", "weights.safetensors", put(lambda data: data[:-9]), 1, "cannot be read"),
    ("label", "weights.safetensors", put(narrow), 1, "they are of another model"),
    ("label", "metrics.jsonl", put(lambda data: b"garbage"), 1, "is damaged"),
    ("label", "metrics.jsonl", put(lambda data: b"3\n"), 1, "is damaged"),
    ("label", "metrics.jsonl", put(lambda data: b"\xff\xfe"), 1, "is damaged"),
    ("label", "metrics.jsonl", Path.unlink, 1, "there is no "),
    ("text", "vocabulary.json", Path.unlink, 1, "there is no "),
    ("text", "vocabulary.json", text("{}"), 1, "its checksum differs"),
    ("text", "vocabulary.json", put(one_word_less), 1, " words, and the run has "),
    ("text", "vocabulary.json", put(lambda data: b"{}"), 1, "cannot be read"),
    ("text", "vocabulary.json", put(lambda data: b"\xff\xfe"), 1, "cannot be read"),
    (
        "text",
        "vocabulary.json",
        put(lambda data: data.replace(b'"cat"', b'"dog"')),
        1,
        "the key 'dog' is there twice",
    ),
]


@pytest.mark.parametrize(("name", "file", "damage", "code", "says"), DAMAGE)
def test_damaged_runs(runs, tmp_path, name, file, damage, code, says):
    shutil.copytree(runs / name, tmp_path / "run")
    damage(tmp_path / "run" / file)
    before = listing(tmp_path)
    refused(("loglik", tmp_path / "run", "--samples", 2, "--out", tmp_path / "x.npz", "--json"), code, says)
    assert listing(tmp_path) == before


def test_data_that_changed_or_moved(runs, tmp_path, monkeypatch):
    for name in ("vector", "own", "vectors.npy", "my_model.py"):
        (shutil.copytree if (runs / name).is_dir() else shutil.copy)(runs / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    done("sample", "vector", "--out", "x.npz")
    shutil.copy(runs / "four.npy", "vectors.npy")
    refused(("loglik", "vector"), 1, "are not those of this run (fingerprint")
    os.remove("vectors.npy")
    refused(("sample", "vector", "--out", "y.npz"), 1, "give the folder that holds vectors.npy now, --data-root DIR")
    refused(("sample", "vector", "--data-root", "nowhere", "--out", "y.npz"), 1, "--data-root DIR")
    done("sample", "vector", "--data-root", runs, "--out", "y.npz")
    os.remove("my_model.py")
    refused(("sample", "own", "--trust", "--out", "z.npz"), 2, "there is no file my_model.py")


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(*args, **kwargs):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), "there")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("call", [1, 2, 6, 9])
def test_a_disk_that_is_full_when_the_run_is_written(runs, tmp_path, monkeypatch, call, overwrite):
    """Whichever file finds no room: what there was stays, the run before or a checkpoint of this one."""
    out = tmp_path / "some" / "run"
    if overwrite:
        shutil.copytree(runs / "text", out)
    before = listing(tmp_path)
    calls, fsync = iter(range(1, 1000)), os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda *args: no_space() if next(calls) >= call else fsync(*args))
        result = run(*fit(), "--out", out, *(["--overwrite"] if overwrite else []))
    assert result.exit_code == 1
    told = the_error(result.stderr)
    assert told.startswith("the disk is full: free some space or write elsewhere")
    if told.endswith("; nothing of this fit is kept"):
        assert listing(tmp_path) == before
    else:
        assert call > 2
        assert "is whole, and `fit --resume" in told
        done("fit", "--resume", out)


def test_a_disk_that_is_full_in_the_middle_of_training(tmp_path, monkeypatch):
    real = open

    def full(path, mode="r", *args, **kwargs):
        return no_space() if mode == "a" else real(path, mode, *args, **kwargs)

    monkeypatch.setattr("builtins.open", full)
    result = run(*fit(), "--out", tmp_path / "some" / "run")
    assert result.exit_code == 1
    assert "the disk is full" in the_error(result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_when_pictures_are_drawn_keeps_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(pyrovae.runs.pictures, "pictures", no_space)
    result = run(*fit(), "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "the disk is full" in the_error(result.stderr)
    done("loglik", tmp_path / "run", "--samples", 2)


def test_a_read_only_file_system(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", read_only)
    refused((*fit(), "--out", tmp_path / "run"), 1, "there: the file system is read-only: write elsewhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [("loglik", "label"), ("encode", "label"), ("sample", "vector")])
@pytest.mark.parametrize("fails", [no_space, read_only])
def test_values_that_cannot_be_written(tmp_path, monkeypatch, args, fails):
    (tmp_path / "x.npz").write_text("old")
    monkeypatch.setattr(os, "fsync", fails)
    result = run(*args, "--out", tmp_path / "x.npz")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "write elsewhere" in the_error(result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
    assert (tmp_path / "x.npz").read_text() == "old"


@pytest.mark.parametrize("args", [("sample", "label", "--out"), ("encode", "label", "--picture")])
def test_pictures_that_cannot_be_written(tmp_path, monkeypatch, args):
    monkeypatch.setattr(os, "fsync", no_space)
    result = run(*args, tmp_path / "x.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the disk is full" in the_error(result.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    refused((*fit(), "--out", tmp_path / "run"), 1, "permission denied")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("args", [fit("--device", "cuda"), ("loglik", "label", "--device", "cuda")])
def test_no_cuda_where_cuda_is_asked_for(args):
    refused(args, 2, "this machine has 0 CUDA devices: take --device cpu or auto")


@pytest.mark.parametrize(
    "args",
    [
        *[fit("--latent-dim", "1", "--guide", name) for name in ("diagonal", "full", "lowrank", "iaf")],
        fit("--latent-dim", "1", "--guide", "iaf", data="images.npy"),
        fit("--guide", "lowrank:rank=99"),
        fit("--net", "conv", data="pixel.npy"),
        fit("--net", "conv", "--channels", "3,3,3,3", data="odd.npy"),
        (*FIT, "--model", "iaf", "--data", "pixel.npy", "--widths", "3,3,3", "--context", "4"),
        (*FIT, "--model", "iaf", "--data", "odd.npy", "--widths", "3", "--context", "4"),
        fit(data="four.npy"),
        fit("--limit-train", "1"),
        fit("--batch-size", "32"),
        fit(data="constant.npy"),
        fit(data="labels.npz"),
        fit(data="missing.npz"),
        fit(model="cvae", data="missing.npz"),
        fit("--condition", "quadrants", "--quadrants", "3", model="cvae", data="odd.npy"),
        fit("--vocab-size", "5", model="textvae", data="sentences.txt"),
        fit("--max-length", "3", model="textvae", data="sentences.txt"),
        fit("--binarize", "threshold", data="images.npy"),
        fit("--hidden", " 4 , 4 "),
    ],
    ids=short,
)
def test_odd_but_good(tmp_path, args):
    found = json.loads(done(*args, "--out", tmp_path / "run", "--json", "--quiet").stdout)
    assert found["log_likelihood"] is not None
    done("loglik", tmp_path / "run", "--samples", 2)
    done("encode", tmp_path / "run", "--limit", 1, "--out", tmp_path / "z.npz", "--picture", tmp_path / "z.png")
    done("sample", tmp_path / "run", *(() if "textvae" in args else ("--out", tmp_path / "x.npz")))
