"""Data that were not in a run: each verb on them, read as the run's own were; what does not fit is refused."""

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import done, run, the_error
from PIL import Image

import pyrovae
from pyrovae import PyrovaeError, UsageError
from pyrovae.data.labelled import TRUTH

SMALL = {"epochs": 1, "latent_dim": 2, "batch_size": 20, "show": False, "score_samples": 2, "score_limit": 4}
WORDS = ["the cat sat on the mat", "a dog ate the cat", "the mat sat", "a cat ate a dog on a mat", "dogs sat"]

DRAW = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (40, 6, 6), dtype=torch.uint8, generator=DRAW)
TABLE = torch.randn(40, 4, generator=DRAW) * torch.tensor([1.0, 10.0, 1e3, 1.0])
LABELS = torch.arange(40) % 3
PARTS = {"train": slice(0, 24), "valid": slice(24, 30), "test": slice(30, 40)}

FITS = {  # name -> model, fields, options
    "dynamic": ("vae", (PIXELS,), {"binarize": "dynamic"}),
    "static": ("vae", (PIXELS,), {"binarize": "static"}),
    "threshold": ("vae", (PIXELS,), {"binarize": "threshold"}),
    "gray": ("vae", (PIXELS,), {"binarize": "none"}),
    "table": ("vae", (TABLE,), {}),
    "condition": ("cvae", (TABLE, LABELS), {}),
    "real-condition": ("cvae", (TABLE, TABLE[:, :2] + 1), {}),
    "quadrants": ("cvae", (PIXELS,), {"condition": "quadrants", "binarize": "dynamic"}),
    "labels": ("ssvae", (TABLE, LABELS), {"labels": 6}),
}
MADE = {}


def at(fields, rows):
    return dict(zip("xy", (field[rows] for field in fields), strict=False))


@pytest.fixture(scope="module", params=[*FITS, "text"])
def fitted(request, tmp_path_factory):
    """A run, and its test data as a person has them."""
    if request.param == "text":
        return words(tmp_path_factory)
    model, fields, options = FITS[request.param]
    data = {split: at(fields, rows) for split, rows in PARTS.items()}
    return pyrovae.fit(model, data=data, hidden=(8,), **options, **SMALL), data["test"]


def words(tmp_path_factory):
    if "text" not in MADE:
        folder = tmp_path_factory.mktemp("text")
        for split, times in (("train", 5), ("valid", 1), ("test", 2)):
            (folder / f"{split}.txt").write_text("\n".join(WORDS * times))
        MADE["text"] = pyrovae.fit("textvae", data=folder, hidden=8, embedding=4, **SMALL), folder / "test.txt"
    return MADE["text"]


def test_the_test_data_score_as_they_do_in_the_run(fitted):
    of_its_own, test = fitted
    mine, new = of_its_own.split("test"), of_its_own.on(test).split("test")
    assert all(torch.equal(a, b) for a, b in zip(mine, new, strict=True))
    a = of_its_own.log_likelihood(samples=5, show=False).log_likelihood
    b = of_its_own.log_likelihood(samples=5, show=False, data=test).log_likelihood
    assert torch.equal(a, b)


def test_every_verb_takes_them(fitted):
    of_its_own, test = fitted
    new, count = of_its_own.on(test), of_its_own.data.size("test")
    assert new.data.size("test") == count
    for name, mine in of_its_own.encode().items():
        np.testing.assert_array_equal(mine, of_its_own.encode(data=test)[name])
        np.testing.assert_array_equal(mine, of_its_own.encode(test)[name])
    assert list(of_its_own.evaluate(5, data=test, show=False)) == list(of_its_own.evaluate(5, show=False))
    assert len(of_its_own.reconstruct(test)) == len(of_its_own.reconstruct(data=test)) == count
    assert len(of_its_own.reconstruct(3, data=test)) == 3
    assert len(of_its_own.sample(4, data=test)) == 4
    assert len(of_its_own.interpolate(2, 3, data=test)) == 2
    mine, theirs = of_its_own.accuracy(show=False), of_its_own.accuracy(show=False, data=test)
    assert (mine is None) == (theirs is None)
    assert mine is None or mine.summary() == theirs.summary()


def test_all_is_the_splits_behind_each_other(fitted):
    of_its_own, _ = fitted
    whole = of_its_own.log_likelihood(samples=3, split="all", show=False)
    sizes = [of_its_own.data.size(split) for split in ("train", "valid", "test")]
    assert len(whole.log_likelihood) == sum(sizes) == of_its_own.data.size("all")
    batch = of_its_own.split("all")
    for tensors in zip(batch, *(of_its_own.split(split) for split in ("train", "valid", "test")), strict=True):
        start = 0
        for part in tensors[1:]:
            here = tensors[0][start : start + len(part)]
            assert torch.equal(here[:, : part.shape[1]] if part.dim() == 2 else here, part)
            start += len(part)
    assert len(of_its_own.split("all", sizes[0] + 2)[0]) == sizes[0] + 2


def test_the_units_are_those_of_the_fit():
    on_pixels = pyrovae.fit("vae", data="digits", binarize="none", hidden=(8,), **SMALL)
    whole = torch.arange(64).reshape(1, 8, 8) % 17
    for given in (whole.to(torch.uint8), whole, whole / 16):
        assert torch.equal(on_pixels.on(given).split()[0], whole[None] / 16)
    of_table = pyrovae.fit("vae", data=TABLE, hidden=(8,), **SMALL)
    assert torch.equal(
        of_table.on(torch.tensor([[0.0, 1.0, 1.0, 0.0]])).split()[0], torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    )


def test_classes_are_those_of_the_names(tmp_path):
    for name, count in (("cat", 9), ("dog", 9), ("eel", 9)):
        for i in range(count):
            (tmp_path / "old" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(PIXELS[i].numpy()).save(tmp_path / "old" / name / f"{i}.png")
    made = pyrovae.fit("cvae", data=tmp_path / "old", hidden=(8,), **SMALL)
    for name in ("dog", "eel"):
        (tmp_path / "new" / name).mkdir(parents=True)
        Image.fromarray(PIXELS[0].numpy()).save(tmp_path / "new" / name / "one.png")
    new = made.on(tmp_path / "new")
    assert new.split()[1].tolist() == [1, 2]
    assert new.index()["name"].tolist() == ["dog/one.png", "eel/one.png"]
    (tmp_path / "new" / "eel").rename(tmp_path / "new" / "fox")
    with pytest.raises(PyrovaeError, match="class 'fox' of y is none of this run, which has cat, dog, eel"):
        made.on(tmp_path / "new")
    plain = pyrovae.fit("vae", data=tmp_path / "old", hidden=(8,), **SMALL)  # which reads no class
    assert plain.on(tmp_path / "new").labels().tolist() == [1, -1]


def test_labels_are_hidden_where_those_of_the_fit_were():
    model, fields, options = FITS["labels"]
    made = pyrovae.fit(model, data=fields, hidden=(8,), **options, **SMALL)
    with_them, without = made.on((TABLE, LABELS)), made.on(TABLE)
    assert torch.equal(with_them.split()[1], torch.full((40,), -1))
    assert torch.equal(with_them.data.columns["test"][TRUTH], LABELS)
    assert torch.equal(without.split()[1], torch.full((40,), -1))
    assert without.accuracy(show=False) is None


def test_conditions_alone_are_enough_to_sample():
    made = pyrovae.fit("cvae", data=(TABLE, LABELS), hidden=(8,), **SMALL)
    torch.testing.assert_close(made.sample(6, data={"y": torch.tensor([2, 2])}), made.sample(6, y=2), rtol=0, atol=0)
    with pytest.raises(PyrovaeError, match="the pair reads the field 'x', and data 'arrays' have only y: give it, too"):
        made.encode({"y": torch.tensor([2, 2])})


def test_rows_of_sentences_count_the_blank_lines(tmp_path, tmp_path_factory):
    made, _ = words(tmp_path_factory)
    (tmp_path / "new.txt").write_text("\nthe cat sat\n\nxyzzy sat on a mat\n")
    new = made.on(tmp_path / "new.txt")
    assert new.index()["row"].tolist() == [1, 3]
    assert new.description["notes"] == ["1 of 8 tokens are no words of the fit, and are scored as <unk>"]


def test_a_dataset_is_taken_as_it_is_where_its_fields_are_those_of_the_run():
    made = pyrovae.fit("vae", data=TABLE, hidden=(8,), **SMALL)
    other = pyrovae.data.load(TABLE + 1)
    assert made.on(other, "valid").data.size("test") == other.size("valid")
    assert made.on(other).data.size("test") == 40
    with pytest.raises(PyrovaeError, match="of x has shape"):
        made.on(pyrovae.data.load(TABLE[:, :3]))


def test_classes_of_a_dataset_are_those_of_the_run():
    names = np.array(["cat", "dog", "eel"])[LABELS.numpy()]
    made = pyrovae.fit("cvae", data=(TABLE, names), hidden=(8,), **SMALL)
    same, other = names == "cat", names != "cat"
    assert made.on(pyrovae.data.load((TABLE, names))).data.size("test") == 40
    assert made.on((TABLE[other], names[other])).split()[1].unique().tolist() == [1, 2]
    for part in (same, other):  # dog would be class 0, which is cat
        with pytest.raises(PyrovaeError, match="the classes of y are not those of this run"):
            made.on(pyrovae.data.load((TABLE[part], names[part])))


@pytest.mark.parametrize("whole", [[[-3.0], [2.0]], [[1.0], [0.0]], [[4], [5]], [-3, 2]])
def test_a_real_condition_may_be_whole_numbers(whole):
    made = pyrovae.fit("cvae", data=(TABLE, TABLE[:, :1]), hidden=(8,), **SMALL)
    for given in (torch.tensor(whole), np.array(whole)):
        assert torch.equal(made.on((TABLE[:2], given)).split()[1], torch.tensor(whole).float().reshape(2, 1))


BAD = {
    "shape": ("table", torch.zeros(3, 5), r"a datum of x has shape \(5,\), and the data of this run have \(4,\)"),
    "image": (
        "gray",
        torch.zeros(3, 7, 7),
        r"shape \(1, 7, 7\), .* \(1, 6, 6\): give data of that shape, or fit with image_size",
    ),
    "beyond": ("gray", PIXELS * 1.5, "the values of x are numbers beyond"),
    "no bits": ("dynamic", PIXELS * 1.5, "the values of x are numbers beyond .* and those of this run 0 or 1"),
    "no y": ("condition", TABLE, "the pair reads the field 'y', and data 'arrays' have only x"),
    "class": ("condition", (TABLE, LABELS + 1), "y holds 3, and this run has the classes 0 to 2"),
    "nan": ("table", TABLE * torch.nan, "NaN or infinite"),
    "nothing": ("table", TABLE[:0], "at least one datum"),
    "list": ("table", [[1.0]], r"a datum of x has shape \(1,\)"),
    "split": ("table", {"train": TABLE, "test": TABLE}, None),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    which, data, says = BAD[name]
    if which not in MADE:
        model, fields, options = FITS[which]
        MADE[which] = pyrovae.fit(model, data=at(fields, slice(None)), hidden=(8,), **options, **SMALL)
    if says is None:
        with pytest.raises(UsageError, match="have only train, test: take all"):
            MADE[which].on(data, "valid")
    else:
        with pytest.raises(PyrovaeError, match=says):
            MADE[which].on(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs and files of new data."""
    where = tmp_path_factory.mktemp("new")
    np.save(where / "old.npy", TABLE.numpy())
    np.save(where / "new.npy", TABLE[:7].numpy() + 1)
    np.savez(where / "y.npz", y=[0, 1, 2])
    np.savez(where / "labels.npz", x=TABLE.numpy(), y=LABELS.numpy())
    (where / "words.txt").write_text("\n".join(WORDS * 6))
    tiny = ("--epochs", "1", "--score-samples", "2", "--latent-dim", "2", "--hidden", "4", "--quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        done("fit", "--model", "vae", "--data", "old.npy", "--out", "table", *tiny)
        done("fit", "--model", "cvae", "--data", "labels.npz", "--out", "label", *tiny)
        done("fit", "--model", "textvae", "--data", "words.txt", "--out", "text", *tiny)
    return where


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_values_are_written_by_the_ending(here, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    done("loglik", "table", "--data", "new.npy", "--samples", "4", "--out", f"new{suffix}")
    done("encode", "table", "--data", "new.npy", "--out", f"z{suffix}")
    wanted = pyrovae.load("table").on("new.npy")
    scores, z = wanted.log_likelihood(samples=4, show=False), wanted.encode()
    if suffix == ".npz":
        found, means = np.load("new.npz"), np.load("z.npz")
        assert found["row"].tolist() == list(range(7))
        np.testing.assert_array_equal(found["log_likelihood"], scores.log_likelihood.numpy())
        np.testing.assert_array_equal(means["z_mean"], z["z_mean"])
    elif suffix == ".csv":
        assert [int(row["row"]) for row in rows("new.csv")] == list(range(7))
        assert [float(row["log_likelihood"]) for row in rows("new.csv")] == scores.log_likelihood.tolist()
        means = np.array([[row["z_mean_0"], row["z_mean_1"]] for row in rows("z.csv")], np.float32)
        np.testing.assert_array_equal(means, z["z_mean"])
    else:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table("z.parquet")
        assert table.column_names == ["row", "z_mean_0", "z_mean_1", "z_scale_0", "z_scale_1"]
        np.testing.assert_array_equal(table["z_mean_1"].to_numpy(), z["z_mean"][:, 1])


def test_a_parquet_without_pyarrow_is_refused_before_any_work(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    result = run("encode", "table", "--out", "late.parquet")
    assert "python -m pip install 'pyarrow>=15.0', or end the name in .csv" in the_error(result.stderr)
    assert not Path("late.parquet").exists()


def piped(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", type("Pipe", (), {"buffer": io.BytesIO(content)})())


def test_standard_input_is_read_as_a_file_would_be(here, monkeypatch):
    table = pyrovae.load("table")
    wanted = table.on("new.npy").split()[0]
    text = "\n".join(",".join(map(repr, row)) for row in wanted.tolist())
    for content in (Path("new.npy").read_bytes(), text.encode(), text.replace(",", " ").encode()):
        piped(monkeypatch, content)
        assert torch.equal(table.on("-").split()[0], wanted)
    piped(monkeypatch, b"the cat sat\n\na dog\n")
    assert pyrovae.load("text").on("-").data.size("test") == 2
    piped(monkeypatch, b"")
    with pytest.raises(PyrovaeError, match="standard input is empty"):
        table.on("-")
    piped(monkeypatch, b"a,b\n1,2\n")
    with pytest.raises(PyrovaeError, match="standard input"):
        table.on("-")


@pytest.mark.parametrize(
    "args",
    [
        ("loglik", "--samples", "3", "--worst", "2", "--json"),
        ("loglik", "--method", "ais", "--steps", "2", "--chains", "2", "--json"),
        ("evaluate", "--samples", "3", "--json"),
        ("evaluate", "--samples", "3", "--baseline", "table", "--json"),
        ("reconstruct", "--out", "reconstructed.csv"),
        ("sample", "-n", "3", "--out", "sampled.csv"),
        ("interpolate", "--rows", "2", "--steps", "3", "--out", "between.npz"),
        ("encode", "--picture", "z.png"),
        ("gap", "--samples", "3", "--ais-steps", "0", "--json"),
    ],
    ids=lambda args: " ".join(args[:3]),
)
def test_every_command_takes_them(here, monkeypatch, args):
    from commands import score_quickly

    score_quickly(monkeypatch)
    result = done(args[0], "table", "--data", "new.npy", *args[1:])
    if "--json" in args:
        assert json.loads(result.stdout)["num_data"] == 7


def test_commands_refuse_what_does_not_fit(here):
    for args, says in (
        (("loglik", "table", "--data", "words.txt"), "are text, and the data of this run are not"),
        (("encode", "text", "--data", "new.npy"), "are no text, and the data of this run are"),
        (("evaluate", "label", "--data", "new.npy"), "the pair reads the field 'y'"),
        (("loglik", "table", "--data", "new.npy", "--split", "test"), "are not in splits: take all"),
        (("loglik", "table", "--data", "nowhere.npy"), "there is no such file or folder"),
        (("loglik", "table", "--data", "dgits"), "did you mean 'digits'?"),
    ):
        assert says in the_error(run(*args).stderr)


def test_conditions_of_a_file_are_sampled_under(here):
    done("sample", "label", "--data", "y.npz", "-n", "6", "--out", "six.npz")
    wanted = pyrovae.load("label").sample(6, data="y.npz")
    np.testing.assert_array_equal(np.load("six.npz")["x"], wanted.numpy())
