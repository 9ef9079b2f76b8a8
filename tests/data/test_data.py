"""Data sets: what is read, how it is cut and binarized, and the one sentence for each fault."""

import dataclasses
import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from pyrovae.data import DataConfig, Dataset, with_quadrants
from pyrovae.data.catalogue import SOURCES, load, sources
from pyrovae.data.readers.amat import PACKED
from pyrovae.data.transforms import Binarize, Quadrants, Scale, Trim
from pyrovae.errors import PyrovaeError, UsageError


def idx(array):
    """An idx file of bytes."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def mnist_root(tmp_path):
    """Forty training and ten test images in the layout of torchvision, packed."""
    rng = np.random.default_rng(0)
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    arrays = {}
    for stem, n in (("train", 40), ("t10k", 10)):
        arrays[stem] = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8), rng.integers(0, 10, n).astype(np.uint8)
        for part, dims, array in (("images", 3, arrays[stem][0]), ("labels", 1, arrays[stem][1])):
            (raw / f"{stem}-{part}-idx{dims}-ubyte.gz").write_bytes(gzip.compress(idx(array), 1))
    return tmp_path / "root", arrays


@pytest.fixture
def gray():
    """Ninety flat images, the i-th of pixel value i."""
    return torch.arange(90, dtype=torch.uint8)[:, None, None].expand(90, 4, 5).contiguous()


def x(dataset, split):
    return dataset.columns[split]["x"]


# ---- names and laziness


def test_listing_imports_nothing_heavy():
    code = (
        "import sys, pyrovae.data as d; d.sources(); d.DataConfig();"
        "print([m for m in ('torch', 'numpy', 'tokenizers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_source_can_be_imported():
    for name, source in sources().items():
        module, _, function = source.target.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function)), name
        assert source.kind in ("image", "text", "plugin")


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="no data set 'mnits': did you mean 'mnist'"):
        load("mnits")


def test_a_missing_path_is_named(tmp_path):
    for spec in (tmp_path / "none", str(tmp_path / "none.npz"), "none.txt"):
        with pytest.raises(UsageError, match=r"none.*: there is no such file or folder"):
            load(spec)


def test_a_dataset_is_returned_as_it_is(gray):
    dataset = load(gray)
    assert load(dataset) is dataset


def test_entry_points_add_names(monkeypatch):
    from importlib.metadata import EntryPoint

    point = EntryPoint("mine", "tests_plugin_of_data:load", "pyrovae.data")
    plugin = type(sys)("tests_plugin_of_data")
    plugin.load = lambda config: torch.rand(config.vocab_size, 3)
    monkeypatch.setitem(sys.modules, "tests_plugin_of_data", plugin)
    monkeypatch.setattr("pyrovae.data.catalogue.installed", lambda group: {"mine": point})
    dataset = load("mine", DataConfig(vocab_size=30))
    assert dataset.description["counts"] == {"train": 24, "valid": 3, "test": 3}
    assert dataset.name == "mine"
    del plugin.load
    with pytest.raises(PyrovaeError, match=r"'mine' .* cannot be imported"):
        load("mine")


# ---- the embedded sets


def test_digits():
    dataset = load("digits")
    assert dataset.description["counts"] == {"train": 1293, "valid": 144, "test": 360}
    assert dataset.fields["x"].shape == (1, 8, 8)
    assert dataset.fields["x"].kind == "binary"
    assert dataset.fields["y"].size == 10
    assert torch.bincount(dataset.columns["test"]["y"]).min() >= 34  # stratified
    gray = dataset.transforms[0](dataset.columns["train"])["x"]
    assert (gray.min(), gray.max()) == (0, 1)
    torch.testing.assert_close(dataset.fields["x"].mean, gray.mean(0))
    other = load("digits", DataConfig(data_seed=1))
    assert torch.equal(x(other, "test"), x(dataset, "test"))
    assert not torch.equal(x(other, "valid"), x(dataset, "valid"))


def test_pydoc():
    dataset = load("pydoc")
    counts = dataset.description["counts"]
    assert 1200 < sum(counts.values()) < 2500
    lines = [line for split in counts for line in dataset.vocabulary.decode(x(dataset, split))]
    assert all("::=" not in line and ">>>" not in line and line == line.lower() for line in lines)
    assert dataset.fields["x"].size == len(dataset.vocabulary)
    assert x(dataset, "train").max() == len(dataset.vocabulary) - 1


# ---- files


def test_mnist_is_read_from_packed_files_in_a_folder_that_cannot_be_written(mnist_root):
    root, arrays = mnist_root
    for folder in (root / "MNIST" / "raw", root / "MNIST", root):
        os.chmod(folder, 0o555)
    before = sorted(root.rglob("*"))
    dataset = load("mnist", DataConfig(data_root=root))
    for folder in (root, root / "MNIST", root / "MNIST" / "raw"):
        os.chmod(folder, 0o755)
    assert sorted(root.rglob("*")) == before
    assert dataset.description["counts"] == {"train": 36, "valid": 4, "test": 10}
    assert torch.equal(x(dataset, "test"), torch.from_numpy(arrays["t10k"][0])[:, None])
    assert torch.equal(dataset.columns["test"]["y"], torch.from_numpy(arrays["t10k"][1]).long())
    both = torch.cat([x(dataset, "train"), x(dataset, "valid")])
    original = torch.from_numpy(arrays["train"][0])[:, None]
    assert sorted(both.sum((1, 2, 3)).tolist()) == sorted(original.sum((1, 2, 3)).tolist())


def test_emnist_is_turned_upright(tmp_path):
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28)).astype(np.uint8)
    for stem in ("train", "test"):
        (raw / f"emnist-balanced-{stem}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"emnist-balanced-{stem}-labels-idx1-ubyte").write_bytes(idx(np.arange(8, dtype=np.uint8)))
    dataset = load("emnist", DataConfig(data_root=tmp_path))
    assert torch.equal(x(dataset, "test")[:, 0], torch.from_numpy(images).transpose(1, 2))
    assert dataset.fields["y"].names[8:12] == ("8", "9", "A", "B")
    assert dataset.fields["y"].size == 47


@pytest.mark.parametrize(
    "name", [name for name, source in SOURCES.items() if source.target.startswith("pyrovae.data.readers.idx")]
)
def test_missing_files_name_the_folder_and_the_cure(name, tmp_path):
    with pytest.raises(UsageError, match=rf"'{name}' needs .* in {tmp_path}.*download=True.*data_root"):
        load(name, DataConfig(data_root=tmp_path))


@pytest.mark.parametrize("name", ["cifar10", "svhn", "celeba", "static-mnist"])
def test_missing_sets_of_torchvision_name_the_folder_and_the_cure(name, tmp_path):
    with pytest.raises(UsageError, match=rf"'{name}' .*{tmp_path}.*download=True.*data_root"):
        load(name, DataConfig(data_root=tmp_path))


def test_download_asks_torchvision_and_tells_a_failure_in_one_sentence(monkeypatch, mnist_root, tmp_path):
    root, _ = mnist_root
    empty = tmp_path / "empty"
    fetched = []

    def fetch(where, download, **options):
        fetched.append((where.parent, download))
        os.rename(root / "MNIST", where / "MNIST")

    empty.mkdir()
    monkeypatch.setattr("torchvision.datasets.MNIST", fetch)
    assert load("mnist", DataConfig(data_root=empty, download=True)).size("test") == 10
    assert fetched == [(empty, True)]

    def fail(where, download, **options):
        raise RuntimeError("no route to host")

    monkeypatch.setattr("torchvision.datasets.MNIST", fail)
    with pytest.raises(PyrovaeError, match=r"MNIST cannot be downloaded .*no route to host"):
        load("mnist", DataConfig(data_root=tmp_path / "other", download=True))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-9], "cut short or damaged"),
        (lambda data: b"not gzip at all", "cut short or damaged"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-1]), "7839 values and announces 7840"),
        (lambda data: gzip.compress(b"\0\0\x0d\x03" + gzip.decompress(data)[4:]), "no idx file of bytes"),
        (lambda data: gzip.compress(b""), "no idx file"),
    ],
)
def test_a_damaged_file_is_named(mnist_root, spoil, message):
    root, _ = mnist_root
    path = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(PyrovaeError, match=rf"t10k-images-idx3-ubyte.gz.*{message}"):
        load("mnist", DataConfig(data_root=root))


def bits(n, seed):
    return np.random.default_rng(seed).integers(0, 2, (n, 784)).astype(np.uint8)


def test_static_mnist_is_the_same_packed_and_as_text(tmp_path):
    splits = {"train": bits(6, 0), "valid": bits(3, 1), "test": bits(4, 2)}
    packed, text = tmp_path / "a" / "binarized_mnist", tmp_path / "b"
    packed.mkdir(parents=True)
    text.mkdir()
    np.savez(packed / PACKED, **{split: np.packbits(rows, axis=1) for split, rows in splits.items()})
    for split, rows in splits.items():
        lines = "".join(" ".join(map(str, row)) + " \n" for row in rows)
        (text / f"binarized_mnist_{split}.amat").write_text(lines)
    one = load("static-mnist", DataConfig(data_root=tmp_path / "a"))
    two = load(text)
    assert torch.equal(x(one, "valid"), torch.from_numpy(splits["valid"]).reshape(3, 1, 28, 28))
    assert one.description["fingerprint"] == two.description["fingerprint"]
    assert one.fields["x"].kind == "binary"
    assert one.transforms == (Scale("x", 1.0),)
    (text / "binarized_mnist_test.amat").unlink()
    with pytest.raises(PyrovaeError, match=r"lacks binarized_mnist_test\.amat"):
        load(text)


def test_amat_of_gray_images_with_labels(tmp_path):
    rows = np.random.default_rng(0).random((12, 785))
    rows[:, 784] = np.arange(12) % 3
    np.savetxt(tmp_path / "rows.amat", rows)
    dataset = load(tmp_path / "rows.amat")
    assert dataset.fields["x"].kind == "unit"
    assert dataset.fields["x"].shape == (1, 28, 28)
    assert dataset.fields["y"].size == 3
    (tmp_path / "tens.amat").write_text("10 1\n" * 9)
    assert x(load(tmp_path / "tens.amat"), "train")[0].tolist() == [10, 1]
    (tmp_path / "bad.amat").write_text("0 1\n0\n")
    with pytest.raises(PyrovaeError, match=r"bad.amat is no table"):
        load(tmp_path / "bad.amat")


def test_colour_sets_are_handed_on_by_torchvision(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)

    class CIFAR10:
        classes = ("plane", "car")

        def __init__(self, root, download, train):
            self.data, self.targets = rng.integers(0, 256, (20, 32, 32, 3)).astype(np.uint8), [0, 1] * 10

    class CelebA(list):
        def __init__(self, root, download, split):
            face = Image.new("RGB", (178, 218), (9, 8, 7))
            face.paste((200, 100, 50), (15, 35, 163, 183))  # the central 148x148
            super().__init__([(face, 0)] * 3)

    monkeypatch.setattr("torchvision.datasets.CIFAR10", CIFAR10)
    monkeypatch.setattr("torchvision.datasets.CelebA", CelebA)
    cifar, celeba = (load(name, DataConfig(data_root=tmp_path)) for name in ("cifar10", "celeba"))
    assert cifar.fields["x"].shape == (3, 32, 32)
    assert cifar.fields["x"].kind == "unit"
    assert cifar.fields["y"].names == ("plane", "car")
    assert celeba.fields["x"].shape == (3, 64, 64)
    assert x(celeba, "valid").amin((0, 2, 3)).tolist() == x(celeba, "valid").amax((0, 2, 3)).tolist() == [200, 100, 50]


def save_images(folder, n, size=(6, 4), mode="L", start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.new(mode, size, start + i if mode == "L" else (start + i, 0, 7)).save(folder / f"{i:03}.png")


def test_a_folder_of_classes(tmp_path):
    save_images(tmp_path / "cat", 10)
    save_images(tmp_path / "dog", 10, start=100)
    (tmp_path / "dog" / "notes.md").write_text("no image")
    dataset = load(tmp_path)
    assert dataset.fields["x"].shape == (1, 4, 6)
    assert dataset.fields["x"].kind == "unit"
    assert dataset.fields["y"].names == ("cat", "dog")
    for split in dataset.columns:
        columns = dataset.columns[split]
        assert torch.equal(columns["y"], (columns["x"][:, 0, 0, 0] >= 100).long())


def test_a_folder_of_splits_in_colour_resized(tmp_path):
    save_images(tmp_path / "train", 8, mode="RGB")
    save_images(tmp_path / "test", 3, size=(9, 9))
    dataset = load(tmp_path, DataConfig(image_size=4))
    assert dataset.description["counts"] == {"train": 7, "valid": 1, "test": 3}
    assert dataset.fields["x"].shape == (3, 4, 4)
    assert "y" not in dataset.fields
    (batch,) = dataset.split("test", ("x",))
    torch.testing.assert_close(batch[2], torch.full((3, 4, 4), 2 / 255))


def test_faults_of_a_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PyrovaeError, match="empty holds no image"):
        load(tmp_path / "empty")
    save_images(tmp_path / "broken", 4)
    (tmp_path / "broken" / "002.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    with pytest.raises(PyrovaeError, match=r"002.png is no image that can be read"):
        load(tmp_path / "broken")
    save_images(tmp_path / "mixed", 3)
    save_images(tmp_path / "mixed", 1, size=(9, 8))
    with pytest.raises(PyrovaeError, match=r"001.png is 4x6 and .*000.png is 8x9: give image_size"):
        load(tmp_path / "mixed")
    save_images(tmp_path / "beside", 2)
    save_images(tmp_path / "beside" / "class", 2)
    with pytest.raises(PyrovaeError, match="beside subfolders"):
        load(tmp_path / "beside")


@pytest.mark.parametrize(
    "keys", [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")]
)
def test_npz_with_splits(tmp_path, gray, keys):
    arrays = [gray.numpy(), np.arange(90) % 4, gray.numpy()[:5], np.arange(5) % 4]
    np.savez(tmp_path / "a.npz", **dict(zip(keys, arrays, strict=True)))
    dataset = load(tmp_path / "a.npz", DataConfig(held_out=20))
    assert dataset.description["counts"] == {"train": 70, "valid": 20, "test": 5}
    assert torch.equal(x(dataset, "test")[:, 0], gray[:5])
    assert dataset.fields["y"].size == 4


def test_npy_is_cut_into_three(tmp_path, gray):
    np.save(tmp_path / "a.npy", gray.numpy())
    dataset = load(str(tmp_path / "a.npy"))
    assert dataset.description["counts"] == {"train": 72, "valid": 9, "test": 9}
    rows = torch.cat([x(dataset, split)[:, 0, 0, 0] for split in dataset.columns])
    assert torch.equal(rows.sort().values, gray[:, 0, 0])  # every datum once


def test_faults_of_array_files(tmp_path, gray):
    np.save(tmp_path / "o.npy", np.array([{}, 1, "a"], dtype=object), allow_pickle=True)
    with pytest.raises(PyrovaeError, match=r"o.npy holds Python objects, which are never loaded"):
        load(tmp_path / "o.npy")
    (tmp_path / "r.npz").write_bytes(b"rubbish")
    with pytest.raises(PyrovaeError, match=r"r.npz"):
        load(tmp_path / "r.npz")
    (tmp_path / "e.npy").write_bytes(b"")
    with pytest.raises(PyrovaeError, match=r"e.npy"):
        load(tmp_path / "e.npy")
    np.savez(tmp_path / "m.npz", x=gray, x_test=gray)
    with pytest.raises(PyrovaeError, match="mixes 'x' with names that carry a split"):
        load(tmp_path / "m.npz")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(UsageError, match=r"a.csv: a file must be .npy"):
        load(tmp_path / "a.csv")


# ---- arrays from Python


@pytest.mark.parametrize(
    ("data", "shape", "kind"),
    [
        (torch.rand(30, 7), (7,), "unit"),
        (torch.randn(30, 7), (7,), "real"),
        (torch.randn(30), (1,), "real"),
        (torch.rand(30, 7) > 0.5, (7,), "binary"),
        (np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3)), (3, 6, 5), "unit"),
        (np.random.default_rng(0).random((30, 3, 6, 5)).astype(">f8"), (3, 6, 5), "unit"),
        (torch.randint(0, 2, (30, 6, 5)).double(), (1, 6, 5), "binary"),
        (torch.randint(0, 90, (30, 6)), (6,), "real"),
    ],
    ids=["unit", "real", "scalar", "bool", "channels-last", "big-endian", "bits-as-floats", "counts"],
)
def test_arrays(data, shape, kind):
    dataset = load(data)
    assert dataset.fields["x"].shape == shape
    assert dataset.fields["x"].kind == kind
    (batch,) = dataset.split("train", ("x",))
    assert batch.dtype == torch.float32
    assert batch.shape == (24, *shape)
    torch.testing.assert_close(dataset.fields["x"].mean, batch.mean(0), rtol=1e-4, atol=1e-5)


def test_the_forms_of_python_data_agree(gray):
    y = torch.arange(90) % 3
    by_tuple, by_dict = load((gray, y)), load({"y": y, "x": gray})
    by_split = load({"train": (gray[:60], y[:60]), "test": {"x": gray[60:], "y": y[60:]}})
    assert by_tuple.description["fingerprint"] == by_dict.description["fingerprint"]
    assert torch.equal(by_split.columns["test"]["y"], y[60:])
    assert by_split.size("valid") == 6


def test_missing_labels_and_named_columns_are_kept(gray):
    y = torch.arange(90) % 3
    y[::2] = -1
    dataset = load({"x": gray, "y": y[:, None], "c": torch.arange(90) % 7, "w": torch.rand(90)})
    assert dataset.fields["y"].size == 3
    assert dataset.columns["train"]["y"].dtype == torch.int64
    assert (dataset.columns["train"]["y"] == -1).any()
    assert (dataset.fields["c"].kind, dataset.fields["c"].size) == ("category", 7)
    assert (dataset.fields["w"].kind, dataset.fields["w"].shape) == ("unit", (1,))


def test_a_real_vector_y_is_a_condition_and_no_label(gray):
    dataset = load((gray, torch.randn(90, 3)))
    assert (dataset.fields["y"].kind, dataset.fields["y"].shape) == ("real", (3,))
    assert load((gray, torch.randn(90, 1))).fields["y"].shape == (1,)
    assert load((gray, (torch.arange(90) % 4).float())).fields["y"].size == 4


nan = torch.full((30, 2), float("nan"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (nan, "60 values that are NaN or infinite"),
        (np.array([["a", "b"], ["c", "d"]]), "is <U1: give whole numbers or floats"),
        (np.array([{}, 1, "a"], dtype=object), "is object: give whole numbers"),
        (torch.randn(9, 2, dtype=torch.complex64), "is complex"),
        (torch.empty(0, 4), r"shape \(0, 4\): give at least one datum"),
        (torch.empty(9, 0), r"shape \(9, 0\)"),
        (torch.tensor(3.0), r"shape \(\)"),
        (torch.rand(1, 4), "has 1 training data, and test and valid must be cut"),
        (torch.rand(2, 4), "has 2 training data"),
        (torch.randint(0, 256, (9, 5, 6, 4)), r"shape \(9, 5, 6, 4\): give"),
        ((torch.rand(9, 2), torch.zeros(8).long()), "x has 9, y has 8: give all fields the same number"),
        ((torch.rand(9, 2), torch.full((9,), -2)), "y of train holds -2: labels are whole numbers"),
        ((torch.rand(9, 2), torch.full((9,), 0.5)), "holds 0.5: labels are whole"),
        ((torch.rand(9, 2), torch.full((9,), -1)), "no label at all"),
        ((torch.rand(9, 2), torch.full((9,), 10**6)), "number the classes 0, 1, 2"),
        ((torch.rand(9, 2), torch.zeros(9, 2).long()), r"y of train has shape \(9, 2\): give one label a datum"),
        ((torch.rand(9, 2),) * 3, r"a tuple is \(x,\) or \(x, y\)"),
        ({}, "a dict goes from the names"),
        ({"test": torch.rand(9, 2)}, "no train split, only test"),
        ({"train": torch.rand(9, 2), "test": torch.rand(9, 3)}, r"float32 \(2,\) in train and float32 \(3,\) in test"),
        (
            {"train": torch.rand(9, 2), "test": (torch.rand(9, 2), torch.zeros(9))},
            "has the fields x in train, x, y in test",
        ),
        ([], "an empty list: give at least one datum"),
        ({1.0, 2.0}, "a set is no tensor, array, tuple, dict or Dataset"),
    ],
)
def test_faults_of_arrays(data, message):
    with pytest.raises(PyrovaeError, match=message) as caught:
        load(data)
    assert "\n" not in str(caught.value)


def test_labels_out_of_range_of_the_names(mnist_root):
    root, _ = mnist_root
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.full(10, 11, np.uint8))))
    with pytest.raises(PyrovaeError, match="y holds 11, and 10 classes end at 9"):
        load("mnist", DataConfig(data_root=root))


def test_an_empty_split_is_refused(gray):
    dataset = load(gray)
    with pytest.raises(PyrovaeError, match="the valid split is empty"):
        dataclasses.replace(dataset, columns={**dataset.columns, "valid": {"x": x(dataset, "valid")[:0]}})


# ---- cutting


def test_the_seed_alone_decides_the_splits(gray):
    torch.manual_seed(1)
    one = load(gray, DataConfig(data_seed=3))
    torch.manual_seed(2)
    two, other = load(gray, DataConfig(data_seed=3)), load(gray, DataConfig(data_seed=4))
    assert one.description == two.description
    assert one.description["fingerprint"] != other.description["fingerprint"]
    assert json.loads(json.dumps(one.description)) == one.description


def test_limit_train_leaves_valid_and_test_alone(gray):
    whole, few = load(gray), load(gray, DataConfig(limit_train=10))
    assert few.description["counts"] == {"train": 10, "valid": 9, "test": 9}
    assert torch.equal(x(few, "test"), x(whole, "test"))
    assert torch.equal(x(few, "valid"), x(whole, "valid"))
    kept = set(x(few, "train")[:, 0, 0, 0].tolist())
    assert len(kept) == 10
    assert kept < set(x(whole, "train")[:, 0, 0, 0].tolist())
    assert kept != set(sorted(x(whole, "train")[:, 0, 0, 0].tolist())[:10])


def test_held_out_too_great(gray):
    with pytest.raises(UsageError, match="held_out=45 takes 2 x 45 of the 90"):
        load(gray, DataConfig(held_out=45))
    with pytest.raises(ValueError, match="whole number"):
        DataConfig(held_out=2.5)


# ---- binarization


def test_dynamic_is_fresh_in_train_and_fixed_elsewhere():
    dataset = load("digits")
    rows = {name: column[:256] for name, column in dataset.columns["train"].items()}
    draws = torch.stack([dataset.batch(dict(rows), ("x",))[0] for _ in range(200)])
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(draws[0], draws[1])
    probability = rows["x"].float() / 16
    error = (draws.mean(0) - probability) / (probability * (1 - probability) / 200).sqrt().clamp_min(1e-3)
    assert error.abs().max() < 5.5
    assert 0.9 < error[(probability > 0) & (probability < 1)].std() < 1.1
    state = torch.get_rng_state()
    first, again = dataset.split("valid", ("x",)), dataset.split("valid", ("x",), limit=50)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0][:50], again[0])
    moved = dataclasses.replace(dataset, seed=dataset.seed + 7).split("valid", ("x",))
    assert not torch.equal(moved[0], first[0])


@pytest.mark.parametrize(("mode", "kind"), [("static", "binary"), ("threshold", "binary"), ("none", "unit")])
def test_frozen_binarization(mode, kind):
    dataset, gray = load("digits", DataConfig(binarize=mode)), load("digits", DataConfig(binarize="none"))
    assert dataset.fields["x"].kind == kind
    assert dataset.description["binarize"] == mode
    (batch,), (again,), (level,) = (d.split("train", ("x",)) for d in (dataset, dataset, gray))
    assert torch.equal(batch, again)
    if mode == "threshold":
        assert torch.equal(batch, (level > 0.5).float())
    if mode == "static":
        assert torch.equal(x(load("digits", DataConfig(binarize=mode)), "train"), x(dataset, "train"))
        assert abs(batch.mean() - level.mean()) < 0.005
        assert not torch.equal(batch, (level > 0.5).float())
    torch.testing.assert_close(dataset.fields["x"].mean, batch.mean(0))


def test_only_what_lies_between_0_and_1_is_binarized():
    with pytest.raises(UsageError, match=r"binarize='dynamic': x of data 'arrays' lies in \[.*\]: scale it"):
        load(torch.randn(30, 4), DataConfig(binarize="dynamic"))
    ready = load(torch.rand(30, 4) > 0.5, DataConfig(binarize="dynamic"))
    assert ready.description["binarize"] == "none"
    assert not any(isinstance(transform, Binarize) for transform in ready.transforms)


def test_float_bytes_are_noted():
    assert "save them as uint8" in load(torch.randint(0, 256, (30, 1, 4, 4)).float()).description["notes"][0]


def test_image_size(gray):
    dataset = load(gray, DataConfig(image_size=2))
    assert dataset.fields["x"].shape == (1, 2, 2)
    assert torch.equal(x(dataset, "test")[:, 0, 0, 0], x(load(gray), "test")[:, 0, 0, 0])  # flat images stay flat
    with pytest.raises(UsageError, match=r"image_size=2: .* vectors"):
        load(torch.rand(30, 4), DataConfig(image_size=2))


# ---- quadrants


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (1, ["00000", "00000", "11000", "11000", "11000"]),
        (2, ["11000", "11000", "11000", "11000", "11000"]),
        (3, ["11111", "11111", "11000", "11000", "11000"]),
    ],
)
def test_quadrants(given, rows, channels):
    mask = torch.tensor([[float(c) for c in row] for row in rows])
    image = torch.rand(4, channels, 5, 5)
    y = Quadrants(given)({"x": image})["y"]
    assert y.shape == (4, channels + 1, 5, 5)
    assert torch.equal(y[:, -1], mask.expand(4, 5, 5))
    assert torch.equal(y[:, :-1], image * mask)


def test_quadrants_come_from_the_pixels_that_were_drawn():
    labelled = load("digits")
    dataset = with_quadrants(labelled, 2)
    assert dataset.fields["y"].kind == "partial"
    assert dataset.fields["y"].shape == (2, 8, 8)
    assert dataset.fields["y"].of == "x"
    assert dataset.description["quadrants"] == 2
    image, y = dataset.split("valid", ("x", "y"))
    assert torch.equal(y[:, 0], image[:, 0] * y[:, 1])
    assert torch.equal(image, labelled.split("valid", ("x",))[0])
    with pytest.raises(UsageError, match="quadrants = 4: give 1, 2 or 3"):
        with_quadrants(labelled, 4)
    with pytest.raises(UsageError, match="need images"):
        with_quadrants(load(torch.rand(30, 4)), 1)


# ---- text


def write_text(folder, train, **others):
    folder.mkdir(exist_ok=True)
    for split, lines in {"train": train, **others}.items():
        (folder / f"a.{split}.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def test_text_folder(tmp_path):
    folder = write_text(
        tmp_path / "t", ["a b", "", "a b c d e", "a"] * 3, valid=["a z", "z", "a b c a b c"], test=["c."]
    )
    dataset = load(folder, DataConfig(max_length=4))
    assert isinstance(dataset, Dataset)
    assert dataset.description["counts"] == {"train": 6, "valid": 3, "test": 1}
    assert dataset.description["dropped"] == {"blank": {"train": 3, "valid": 0, "test": 0}, "too_long": 3}
    assert dataset.description["unknown_only"] == {"train": 0, "valid": 1, "test": 0}
    assert len(dataset.description["notes"]) == 2
    assert dataset.fields["x"].shape == (7,)  # the long one of valid is kept whole
    assert x(dataset, "train").shape == (6, 3)
    assert dataset.vocabulary.decode(x(dataset, "valid")) == ["a <unk>", "<unk>", "a b c a b c"]
    assert len(dataset.vocabulary) == 4 + 5  # z and the full stop are in no training sentence


def test_one_text_file_is_cut_and_padding_is_trimmed(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(" ".join(["w"] * (1 + i % 9)) + "\n" for i in range(50)))
    dataset = load(path)
    assert dataset.description["counts"] == {"train": 40, "valid": 5, "test": 5}
    short = {"x": x(dataset, "train")[(x(dataset, "train") > 0).sum(1) <= 4]}
    (batch,) = dataset.batch(short, ("x",))
    assert batch.shape[1] == 4
    assert torch.equal(batch, short["x"][:, :4])
    assert dataset.fields["x"].kind == "tokens"
    assert [getattr(dataset.fields["x"], name) for name in ("pad", "bos", "eos", "unk")] == [0, 1, 2, 3]


def test_trim_keeps_one_position_and_inner_padding():
    trim = Trim("x", 0)
    assert trim({"x": torch.zeros(2, 5).long()})["x"].shape == (2, 1)
    assert trim({"x": torch.tensor([[3, 0, 3, 0], [3, 0, 0, 0]])})["x"].shape == (2, 3)


def test_faults_of_text(tmp_path):
    for name, text, message in [
        ("blank.txt", b"\n  \n", "no sentence, 2 blank lines"),
        ("empty.txt", b"", "no sentence"),
        ("latin.txt", b"caf\xe9\n" * 9, r"latin.txt is no UTF-8 text \(byte 3\)"),
        ("packed.txt.gz", b"rubbish", "packed.txt.gz is cut short or damaged"),
    ]:
        (tmp_path / name).write_bytes(text)
        with pytest.raises(PyrovaeError, match=message):
            load(tmp_path / name)
    folder = write_text(tmp_path / "u", ["a b"] * 9, test=["z", "z z"])
    with pytest.raises(PyrovaeError, match="test holds no word of the vocabulary"):
        load(folder)
    with pytest.raises(UsageError, match="max_length=2 is less than every training sentence"):
        load(write_text(tmp_path / "l", ["a b"] * 9), DataConfig(max_length=2))
    with pytest.raises(PyrovaeError, match="no word occurs min_count=20 times"):
        load(folder, DataConfig(min_count=20))
    with pytest.raises(UsageError, match=r"binarize='static': .* is text"):
        load(folder, DataConfig(binarize="static"))
    (tmp_path / "u" / "train.txt").write_text("a\n")
    with pytest.raises(PyrovaeError, match=r"a.train.txt.gz and train.txt, two train splits"):
        load(folder)


@pytest.mark.parametrize("mode", ["static", "threshold"])
def test_frozen_bits_do_not_depend_on_limit_train(mode):
    whole, few = (load("digits", DataConfig(binarize=mode, limit_train=limit)) for limit in (None, 10))
    assert few.size("train") == 10
    for split in ("valid", "test"):
        assert torch.equal(whole.columns[split]["x"], few.columns[split]["x"])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        type("_ArrayMemoryError", (MemoryError,), {})("Unable to allocate 8.00 TiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["Python", "numpy", "torch"],
)
def test_memory_that_runs_out_while_data_are_read_is_told(tmp_path, monkeypatch, error):
    def full(*args):
        raise error

    np.save(tmp_path / "a.npy", np.zeros((9, 3), np.float32))
    monkeypatch.setattr("pyrovae.data.prepare.prepare", full)
    for data, says in ((tmp_path / "a.npy", "a.npy take"), (np.zeros((9, 3)), "these data take")):
        with pytest.raises(PyrovaeError, match=f"{says} more memory than there is: give less data"):
            load(data)
