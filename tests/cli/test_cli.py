"""Every command on every kind of data, through click's runner."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import FITS, QUICK, SENTENCES, TINY, done, fit_all, listing, run, write_data
from PIL import Image

import pyrovae
from pyrovae import testing
from pyrovae.cli import cli

pytestmark = pytest.mark.drawn

LIKELIHOOD = {
    *("log_likelihood", "standard_error", "standard_error_data", "smoothed", "bias", "samples", "samples_mean"),
    *("num_data", "ess", "pareto_k", "pareto_k_above", "doubtful", "trusted", "verdict", "broken", "worst", "proposal"),
    *("target_se", "target_reached"),
    *("seconds", "lowering_seconds"),
}
IMAGES = ("image", "label", "quadrants", "resnet")
TEXTS = ("text", "words")
WORDS = set(" ".join(SENTENCES).split()) | {"<unk>"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of the data with a run of each kind in it."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_data(folder)
        fit_all()
    return folder


@pytest.fixture(autouse=True)
def here(runs, monkeypatch):
    """Commands run in the folder of the runs."""
    monkeypatch.chdir(runs)
    return runs


def trust(name):
    return ("--trust",) if name == "own" else ()


def is_picture(path):
    with Image.open(path) as image:
        return image.format == "PNG" and image.width > 50 and image.height > 20


def words_of(text):
    """The words of a sentence, its punctuation apart."""
    return set(text.replace(".", " . ").split())


@pytest.mark.parametrize("name", FITS)
def test_fit_leaves_a_whole_run(runs, name):
    expected = {".lock", "run.json", "weights.safetensors", "config.toml", "state", "metrics.jsonl", "curves.png"}
    if name in IMAGES:
        expected |= {"samples.png", "reconstructions.png"}
        expected |= {"plane.png", "traversals.png"}
    if name in ("vector", "own"):
        expected |= {"marginals.png"}
    if name in TEXTS:
        expected |= {"vocabulary.json"}
    if name != "words":
        expected |= {"latents.png"}
    assert {path.name for path in (runs / name).iterdir()} == expected
    assert all(is_picture(path) for path in (runs / name).glob("*.png"))
    results = json.loads((runs / name / "run.json").read_text())["results"]
    assert results["stopped"] == "done"
    assert results["test_elbo"] < 0


@pytest.mark.parametrize("name", FITS)
def test_loglik_prints_one_json_object(name):
    result = done("loglik", name, "--samples", 3, "--json", *trust(name))
    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert set(found) == LIKELIHOOD
    assert found["num_data"] == 4
    assert found["samples"] == (1 if name == "words" else 3)
    assert found["standard_error"] >= 0
    spent = dict.fromkeys(("seconds", "lowering_seconds"), pytest.approx(0, abs=60))
    assert json.loads(done("loglik", name, "--samples", 3, "--json", *trust(name)).stdout) == found | spent
    assert "log-likelihood" in result.stderr  # progress


def test_loglik_keeps_the_values_of_each_datum():
    found = json.loads(done("loglik", "label", "--samples", 4, "--limit", 3, "--out", "each.npz", "--json").stdout)
    with np.load("each.npz") as each:
        assert set(each) == {"log_likelihood", "standard_error", "ess", "pareto_k", "smoothed", "drawn"}
        assert all(values.shape == (3,) for values in each.values())
        assert each["log_likelihood"].mean() == pytest.approx(found["log_likelihood"])
        assert each["ess"].mean() == pytest.approx(found["ess"])
    other = json.loads(done("loglik", "label", "--samples", 4, "--limit", 3, "--chunk", 1, "--json").stdout)
    assert other["log_likelihood"] == pytest.approx(found["log_likelihood"], abs=5)
    train = json.loads(done("loglik", "label", "--samples", 2, "--split", "train", "--seed", 3, "--json").stdout)
    assert train["num_data"] == 32
    table = done("loglik", "label", "--samples", 4).stdout
    for words in ("nats", "4 samples a datum, 4 data", "effective samples", "over the data", "seconds"):
        assert words in table


@pytest.mark.parametrize("name", FITS)
def test_evaluate(name):
    found = json.loads(done("evaluate", name, "--samples", 2, "--json", *trust(name)).stdout)
    assert found["elbo"] == pytest.approx(-found["rate"] - found["distortion"], abs=1e-3)
    assert set(found) > LIKELIHOOD
    assert set(found["sites"]["rate"]) == (set() if name == "words" else {"z"})
    assert ("perplexity" in found) == (name in TEXTS)
    latents, diagnosis = found["latents"], " ".join(found["diagnosis"])
    if name == "words":
        assert latents["information"] is latents["swap"] is latents["marginal_kl"] is None
    else:
        assert latents["information"]["cap"] == pytest.approx(np.log(found["num_data"]))
        assert latents["information"]["nats"] <= latents["information"]["cap"]
        assert latents["swap"]["num_data"] == found["num_data"]
        assert set(latents["aggregate"]) == {"z"}
        assert (latents["marginal_kl"] is None) == latents["conditional_prior"] == (name in ("label", "quadrants"))
    assert done("evaluate", name, "--samples", 2, *trust(name)).stdout.rstrip().endswith(diagnosis)
    table = done("evaluate", name, "--samples", 2, "--limit", 3, "--split", "valid", *trust(name)).stdout
    for words in ("ELBO", "distortion", "rate", "log-likelihood", "3 data"):
        assert words in table
    for words in ("units active", "information", "swapped z", "aggregate", "moments"):
        assert (words in table) == (name != "words")


@pytest.mark.parametrize("command", ["sample", "reconstruct", "interpolate"])
@pytest.mark.parametrize("name", IMAGES)
def test_images_become_pictures(command, name):
    result = done(command, name, "--out", f"{command}-{name}.png")
    assert result.stdout == f"{command}-{name}.png\n"
    assert is_picture(f"{command}-{name}.png")
    done(command, name, "--out", f"{command}-{name}.npz")
    with np.load(f"{command}-{name}.npz") as values:
        assert values["x"].shape[-3:] == (1, 8, 7)


def test_pictures_have_their_columns(runs, monkeypatch):
    """cvae: a column a class. Quadrants: the given part, completions, the truth, which hide nothing of each other."""
    seen = {}

    def grid(images, path, column_titles=None, row_titles=None, title=None):
        seen["images"], seen["columns"], seen["rows"] = images, column_titles, row_titles
        return Path(path)

    monkeypatch.setattr(pyrovae.runs.pictures.plots, "image_grid", grid)
    done("sample", "label", "--out", "a.png")
    assert seen["columns"] == ["0", "1", "2"]
    assert seen["images"].shape[1] == 3
    done("sample", "quadrants", "--out", "a.png")
    assert seen["columns"][0] == "given"
    assert seen["columns"][-1] == "truth"
    images = seen["images"]
    drawn, truth = images[:, 1:-1], images[:, -1:].expand_as(images[:, 1:-1])
    known = ~images[:, :1].isnan().expand_as(drawn)  # the given quadrant, blank elsewhere
    assert 0 < known.float().mean() < 0.5
    assert (drawn[known] == truth[known]).all()
    assert (drawn[~known] != truth[~known]).all()
    done("reconstruct", "image", "-n", 3, "--out", "a.png")
    assert seen["images"].shape[:2] == (2, 3)
    done("interpolate", "image", "--rows", 2, "--steps", 4, "--out", "a.png")
    assert seen["images"].shape[:2] == (2, 6)


@pytest.mark.parametrize("name", ["vector", "own"])
def test_vectors_become_arrays(name):
    shapes = {"sample": (7, 5), "reconstruct": (4, 5), "interpolate": (2, 3, 5)}
    options = {"sample": ("-n", 7), "reconstruct": ("-n", 4), "interpolate": ("--rows", 2, "--steps", 3)}
    for command, shape in shapes.items():
        done(command, name, *options[command], "--out", "values.npz", *trust(name))
        with np.load("values.npz") as values:
            assert values["x"].shape == shape
            assert np.isfinite(values["x"]).all()


@pytest.mark.parametrize("name", TEXTS)
def test_text_becomes_sentences(name):
    result = done("sample", name, "-n", 3)
    assert result.stdout.count("\n") == 3
    assert words_of(result.stdout) <= WORDS
    assert done("sample", name).stdout.count("\n") == 10
    pairs = done("reconstruct", name, "-n", 2).stdout.strip("\n").split("\n\n")
    assert len(pairs) == 2
    known = {" ".join(sentence.split()).replace(" .", ".") for sentence in SENTENCES}
    assert all(pair.split("\n")[0] in known for pair in pairs)
    lines = done("interpolate", name, "--rows", 2, "--steps", 3).stdout
    assert lines.count("\n") == 8
    assert words_of(lines) <= WORDS


def test_given_fixes_conditions_and_latents():
    done("sample", "label", "--given", "y=1", "--given", "z=0.5,-1", "-n", 4, "--out", "given.npz")
    with np.load("given.npz") as values:
        np.testing.assert_allclose(values["x"], values["x"][:1].repeat(4, 0), atol=1e-6)  # rows differ by rounding
    done("sample", "label", "--given", "y=2", "-n", 4, "--out", "given.png")
    assert is_picture("given.png")
    assert len(set(done("sample", "text", "--given", "z=0,0", "-n", 2).stdout.split("\n"))) > 1  # words are drawn


@pytest.mark.parametrize("name", sorted(set(FITS) - {"words"}))
def test_encode(name):
    done("encode", name, "--out", "z.npz", "--picture", "z.png", "--split", "train", "--limit", 9, *trust(name))
    with np.load("z.npz") as latents:
        assert set(latents) == {"z_mean", "z_scale"} | ({"y"} if name == "label" else set())
        assert latents["z_mean"].shape == latents["z_scale"].shape == (9, 2)
        assert (latents["z_scale"] > 0).all()
    assert is_picture("z.png")


def test_the_seed_makes_a_command_repeatable(tmp_path):
    first, again, other = (done("sample", "text", "-n", 5, "--seed", seed).stdout for seed in (1, 1, 2))
    assert first == again != other
    scores = []
    for seed in (4, 4, 5):
        out = tmp_path / str(len(scores))
        result = done("fit", *FITS["label"], "--seed", seed, "--out", out, "--json", "--quiet")
        scores.append({k: v for k, v in json.loads(result.stdout).items() if "seconds" not in k and k != "run"})
        assert all(line.startswith("warning: ") for line in result.stderr.splitlines())
    assert scores[0] == scores[1] != scores[2]
    assert (tmp_path / "0/weights.safetensors").read_bytes() == (tmp_path / "1/weights.safetensors").read_bytes()


def test_fit_prints_json_or_a_table(tmp_path):
    result = done("fit", *FITS["vector"], "--out", tmp_path / "a", "--json")
    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert found["run"] == str(tmp_path / "a")
    assert found["pictures"] == ["curves.png", "latents.png", "marginals.png"]
    assert {"test_elbo", "log_likelihood", "standard_error", "best_epoch", "stopped", "parameters"} < set(found)
    assert "epoch 1/1" in result.stderr
    result = done("fit", *FITS["vector"], "--out", tmp_path / "b")
    for words in (
        "run directory",
        "test ELBO",
        "nats",
        "log-likelihood",
        "cannot be judged from 2",
        "best epoch",
        "parameters",
    ):
        assert words in result.stdout


def test_a_config_file_with_the_command_line_on_top(tmp_path):
    file = tmp_path / "fit.toml"
    file.write_text(
        'model = "cvae"\ndata = "labels.npz"\nguide = "full"\nhidden = [4]\nlatent_dim = 3\nepochs = 2\n'
        f'score_samples = 2\ndevice = "cpu"\nout = "{tmp_path / "toml"}"\n'
    )
    done("fit", "--config", file, "--latent-dim", 2, "--guide", "lowrank:rank=1", "--quiet")
    recipe = json.loads((tmp_path / "toml/run.json").read_text())["recipe"]
    assert recipe["options"]["latent_dim"] == 2
    assert recipe["options"]["hidden"] == [4]
    assert (recipe["guide"], recipe["training"]["epochs"]) == ("lowrank:rank=1", 2)


def test_the_run_directory_has_a_name_of_its_own(runs):
    args = ("--model", "vae", "--data", "vectors.npy", *TINY, "--json", "--quiet")
    names = [json.loads(done("fit", *args).stdout)["run"] for _ in range(2)]
    assert names == ["runs/vae-vectors", "runs/vae-vectors-2"]
    shutil.rmtree(runs / "runs")


def test_overwrite_replaces_a_run(tmp_path):
    out = tmp_path / "run"
    done("fit", *FITS["text"], "--out", out, "--quiet")
    (out / "mine.npz").write_text("kept")
    assert run("fit", *FITS["vector"], "--out", out, "--quiet").exit_code == 2
    done("fit", *FITS["vector"], "--out", out, "--quiet", "--overwrite")
    assert {path.name for path in out.iterdir()} == {
        *(".lock", "run.json", "weights.safetensors", "config.toml", "state", "metrics.jsonl", "curves.png"),
        *("latents.png", "marginals.png", "mine.npz"),
    }
    assert json.loads((out / "run.json").read_text())["recipe"]["model"] == "vae"


def test_compare_two_guides_and_two_seeds(tmp_path):
    args = ("--model", "vae", "--data", "vectors.npy", "--guides", "diagonal, iaf:steps=1", "--seeds", "0,3", *TINY)
    result = done("compare", *args, "--out", tmp_path / "c", "--json")
    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert "vae with iaf:steps=1, seed 3" in result.stderr
    assert [(row["guide"], row["seed"]) for row in found["runs"]] == [
        *(("diagonal", 0), ("diagonal", 3), ("iaf:steps=1", 0), ("iaf:steps=1", 3))
    ]
    means = {row["guide"]: row["elbo"]["mean"] for row in found["table"]}
    assert means["diagonal"] == pytest.approx(np.mean([row["elbo"] for row in found["runs"][:2]]))
    assert found["table"][0]["elbo"]["deviation"] > 0
    assert json.loads((tmp_path / "c/compare.json").read_text()) == {k: v for k, v in found.items() if k != "out"}
    assert is_picture(tmp_path / "c/compare.png")
    names = {path.name for path in (tmp_path / "c").iterdir() if path.is_dir()}
    assert names == {"diagonal-0", "diagonal-3", "iaf_steps=1-0", "iaf_steps=1-3"}
    done("loglik", tmp_path / "c/diagonal-3", "--samples", 2)
    assert run("compare", *args, "--out", tmp_path / "c").exit_code == 2
    table = done("compare", *args, "--out", tmp_path / "c", "--overwrite", "--quiet").stdout
    for words in ("guide", "ELBO", "log-likelihood", "active units", "iaf:steps=1", "+-", "2 seeds", "compare.png"):
        assert words in table


def test_compare_on_a_frozen_model(tmp_path):
    args = ("--freeze-model", "vector", "--guides", "full,diagonal", "--baseline", "diagonal", "--latent-dim", 2)
    result = done("compare", *args, "--out", tmp_path / "c", "--quiet")
    for words in ("the model frozen from vector", "differences from diagonal", "gap", "ESS", "posteriors.png"):
        assert words in result.stdout
    found = json.loads((tmp_path / "c/compare.json").read_text())
    assert found["setting"]["frozen"]["run"] == "vector"
    assert found["setting"]["score_samples"] == 2  # as of the run
    assert [row["seed"] for row in found["runs"]] == [0, 0]
    done("loglik", tmp_path / "c/full-0", "--samples", 2)
    config = tmp_path / "c.toml"
    config.write_text('freeze_model = "vector"\nguides = ["lowrank:rank=1"]\nlatent_dim = 2\nepochs = 2\n')
    found = json.loads(done("compare", "--config", config, "--out", tmp_path / "d", "--quiet", "--json").stdout)
    assert found["setting"]["epochs"] == 2


def test_fit_on_a_frozen_model_of_ones_own(runs, tmp_path):
    args = ("--freeze-model", "own", "--trust", "--guide", "full", "--width", 3, "--json", "--quiet")
    done("fit", *args, "--out", tmp_path / "run")
    recipe = json.loads((tmp_path / "run/run.json").read_text())["recipe"]
    assert (recipe["model"], recipe["guide"], recipe["frozen"]["run"]) == ("my_model.py:MyVAE", "full", "own")
    assert recipe["options"] == {"width": 3}
    assert "--width" in done("fit", "--freeze-model", "own", "--trust", "--help").stdout
    assert "--width" not in done("fit", "--freeze-model", "own", "--help").stdout


def test_compare_reads_a_config_file(tmp_path):
    file = tmp_path / "compare.toml"
    file.write_text('model = "vae"\ndata = "vectors.npy"\nguides = ["diagonal", "full"]\nseeds = [1]\nhidden = [4]\n')
    out = tmp_path / "c"
    done("compare", "--config", file, "--epochs", 1, "--score-samples", 2, "--out", out, "--quiet")
    assert (out / "full-1").is_dir()


@pytest.mark.parametrize(
    "args",
    [
        ("vae", "--data", "images.npy", "--hidden", "4"),
        ("cvae", "--data", "labels.npz", "--guide", "iaf", "--hidden", "4"),
        ("cvae", "--data", "labels.npz", "--condition", "quadrants", "--hidden", "4"),
        ("iaf", "--data", "vectors.npy", "--context", "8"),
        ("ssvae", "--data", "labels.npz", "--hidden", "4"),
        ("textvae", "--data", "sentences.txt", "--hidden", "4"),
        ("my_model.py:MyVAE", "--data", "vectors.npy"),
    ],
    ids=lambda args: args[0],
)
def test_check(args, monkeypatch):
    """The laws are tried once, and told in both forms."""
    true, laws = testing.check, []
    monkeypatch.setattr(testing, "check", lambda *given: laws or laws.extend(true(*given)) or laws)
    found = json.loads(done("check", *args, "--json").stdout)
    assert found["passed"]
    assert len(laws) == len(found["laws"]) > 10
    assert all(law["passed"] in (True, None) for law in found["laws"])
    assert {site["site"] if "site" in site else next(iter(site.values())) for site in found["sites"]} >= {"x", "z"}
    assert "0 broken" in done("check", *args).stdout


def test_check_exits_with_1_where_a_law_is_broken():
    result = run("check", "my_model.py:MyVAE", "--data", "images.npy")
    assert result.exit_code == 1
    assert "BROKEN" in result.stdout
    assert "Traceback" not in result.output


def test_check_of_an_own_pair_says_on_which_data_it_is_tried():
    result = run("check", "my_model.py:MyVAE")  # of vectors of 5
    assert "note: no --data is given, so my_model.py:MyVAE is tried on digits" in result.stderr
    assert result.exit_code == 1 and "whose shapes are x (1, 8, 8)" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("command", "names"), [("models", "cvae ssvae textvae vae"), ("guides", "diagonal full iaf lowrank")]
)
def test_lists(command, names):
    assert set(names.split()) <= set(json.loads(done(command, "--json").stdout))
    table = done(command).stdout
    assert all(f"\n{name} " in f"\n{table}" for name in names.split())


def test_the_list_of_data():
    assert {"digits", "mnist", "pydoc"} <= set(json.loads(done("data", "--json").stdout))


@pytest.mark.parametrize(
    "args",
    [
        *("models", "guides", "data", "--help", "sample -h", "fit --help", "compare --help"),
        *("fit --model cvae --help", "compare --model vae --help", "check hvae --help", "fit --model cvae --lattent 3"),
    ],
)
def test_lists_and_help_import_no_torch(args):
    code = (
        "import sys; from click.testing import CliRunner; from pyrovae.cli import cli\n"
        f"result = CliRunner().invoke(cli, {args.split()!r})\n"
        "print(result.exit_code, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == f"{2 if 'lattent' in args else 0} False\n", found.stderr


@pytest.mark.parametrize("command", cli.files())
def test_help_ends_with_two_examples(command):
    text = done(command, "--help").stdout
    assert text.startswith(f"Usage: pyrovae {command}")
    examples = text.partition("Examples:")[2]
    assert examples.count(f"  pyrovae {command}") == 2
    assert "--debug" in text


@pytest.mark.parametrize("command", ["fit", "compare"])
@pytest.mark.parametrize(
    ("model", "own", "foreign"),
    [
        ("vae", "--net", "--condition"),
        ("cvae", "--condition", "--word-dropout"),
        ("iaf", "--widths", "--net"),
        ("ssvae", "--labels", "--condition"),
        ("textvae", "--word-dropout", "--net"),
        ("my_model.py:MyVAE", "--width", "--latent-dim"),
    ],
)
def test_the_options_of_a_model_are_its_own(command, model, own, foreign):
    text = done(command, "--model", model, "--help").stdout
    assert f"Options of {model}:" in text
    assert own in text
    assert not re.search(rf"^ +{foreign}\b", text, re.MULTILINE)
    assert "--epochs" in text
    assert "--data-root" in text


def test_data_root_of_a_run_whose_data_moved(runs, tmp_path):
    shutil.copytree("label", tmp_path / "run")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move("labels.npz", moved / "labels.npz")
    try:
        result = run("loglik", tmp_path / "run", "--samples", 2)
        assert result.exit_code == 1
        assert "--data-root DIR" in result.stderr
        assert json.loads(done("loglik", tmp_path / "run", "--samples", 2, "--data-root", moved, "--json").stdout)
    finally:
        shutil.move(moved / "labels.npz", "labels.npz")


def mnist(folder):
    """Files as torchvision leaves them, of a few random digits."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for prefix, n in (("train", 40), ("t10k", 20)):
        for name, shape in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,))):
            values = draw.integers(0, 10 if len(shape) == 1 else 256, shape, dtype=np.uint8)
            head = np.array([0x800 + len(shape), *shape], ">i4").tobytes()
            (raw / f"{prefix}-{name}-ubyte").write_bytes(head + values.tobytes())


def test_data_root_offline_and_read_only(tmp_path, monkeypatch):
    mnist(tmp_path / "root")
    before = listing(tmp_path / "root")
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("this must not reach for the network"))
    for path in [*(tmp_path / "root").rglob("*"), tmp_path / "root"]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    args = ("--model", "vae", "--data", "mnist", "--data-root", tmp_path / "root", *TINY, "--quiet", "--json")
    found = json.loads(done("fit", *args, "--held-out", 5, "--out", tmp_path / "run").stdout)
    assert found["num_data"] == 20
    done("loglik", tmp_path / "run", "--samples", 2)
    assert listing(tmp_path / "root") == before
    other = run("fit", *args, "--data-root", tmp_path / "nowhere", "--out", tmp_path / "run2")
    assert other.exit_code == 2
    assert "--download" in other.stderr


def interrupt_at(monkeypatch, step):
    """Sends Ctrl-C when the training of this process reaches a step."""
    steps, real = iter(range(1, 10**9)), pyrovae.training.loop.Step.__call__

    def counted(self, *args):
        if next(steps) == step:
            signal.raise_signal(signal.SIGINT)
        return real(self, *args)

    monkeypatch.setattr(pyrovae.training.loop.Step, "__call__", counted)


@pytest.mark.parametrize("epochs", [0, 3])
def test_ctrl_c_during_fit_saves_the_last_weights(tmp_path, monkeypatch, epochs):
    out = tmp_path / "run"
    interrupt_at(monkeypatch, 2 * epochs + 2)  # in the middle of an epoch of two steps
    result = run("fit", *FITS["vector"], "--batch-size", 16, "--epochs", 50, "--out", out, "--json")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "Traceback" not in result.stderr
    assert f"stopped by Ctrl-C after {epochs} epochs; the weights are in {out}" in result.stderr
    results = json.loads((out / "run.json").read_text())["results"]
    assert results["stopped"] == "interrupted"
    assert results["epochs"] == len((out / "metrics.jsonl").read_text().splitlines()) == epochs
    assert (out / "state/checkpoint.safetensors").is_file()
    done("loglik", out, "--samples", 2)


def test_ctrl_c_during_compare_leaves_whole_runs_from_which_it_goes_on(tmp_path, monkeypatch):
    args = ("--model", "vae", "--data", "vectors.npy", "--guides", "diagonal,full", *TINY, "--out", tmp_path / "c")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)  # the first of the second guide
        result = run("compare", *args)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith("Interrupted.\n")
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"diagonal-0", "full-0"}
    for name in ("diagonal-0", "full-0"):
        done("loglik", tmp_path / "c" / name, "--samples", 2)
    assert "diagonal-0 is done" in done("compare", *args).stderr  # it goes on
    assert "--overwrite" in run("compare", *args, "--latent-dim", 3).stderr
    done("compare", *args, "--overwrite", "--quiet")


def test_quiet_leaves_the_notes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ("--model", "vae", "--kl-warmup", "9", "--hidden", "4", "--limit-train", "50", *QUICK, "--quiet")
    assert done("fit", *args).stderr.startswith("note: the KL warm-up of 9 epochs is longer than training (1)")
    lines = done("compare", *args, "--guides", "diagonal").stderr.splitlines()
    assert lines[0].startswith("note: the KL warm-up")
    assert all(line.startswith("warning: ") for line in lines[1:])
    told = done("fit", *args, "--kl-warmup", "0").stderr.splitlines()  # of one epoch
    assert [line.partition(":")[0] for line in told] == ["warning"] * len(told)
