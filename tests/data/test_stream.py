"""Data that stay on the disk: the same results as in memory, never held at once, and faults told in one sentence."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from commands import done, run, the_error
from PIL import Image

import pyrovae
from pyrovae import PyrovaeError, UsageError
from pyrovae.data import DataConfig, stored, stream, with_quadrants
from pyrovae.data.catalogue import load
from pyrovae.data.readers.npy import NpyFile
from pyrovae.data.stored import Stored
from pyrovae.options import TrainConfig
from pyrovae.runs import tensors
from pyrovae.runtime.progress import progress
from pyrovae.runtime.seeding import seeded
from pyrovae.runtime.streams import Spare
from pyrovae.training.loop import train
from pyrovae.training.order import shuffled

CPU = torch.device("cpu")
TINY = {"latent_dim": 2, "hidden": (6,), "score_samples": 2, "device": "cpu", "show": False, "compile": False}
SHORT = {"epochs": 3, "batch_size": 14}  # of 64 or 48 training data, the last batch is short


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def results(fitted):
    return {name: value for name, value in fitted.results.items() if "seconds" not in name}


def metrics(fitted):
    return [{name: value for name, value in epoch.items() if "seconds" not in name} for epoch in fitted.metrics]


@pytest.fixture(autouse=True)
def _no_process_is_left():
    """Whatever a test does, no worker outlives it."""
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def npy(tmp_path):
    """Eighty gray images of 6x5: 64 to train on."""
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (80, 6, 5)).astype(np.uint8))
    return path


@pytest.fixture
def folder(tmp_path):
    """Sixty gray images of 6x5 in two classes: 48 to train on."""
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(30):
            pixels = draw.integers(0, 256, (6, 5)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i:03}.png")
    return tmp_path / "photos"


def both(path, **options):
    """The same data in memory and on the disk."""
    return load(path, DataConfig(stream=False, **options)), load(path, DataConfig(stream=True, workers=0, **options))


# ---- the same data


draw = np.random.default_rng(0)
ARRAYS = {
    "gray": draw.integers(0, 256, (80, 6, 5)).astype(np.uint8),
    "colour": draw.integers(0, 256, (80, 6, 5, 3)).astype(np.uint8),
    "channels-first": draw.random((80, 3, 6, 5)).astype(np.float32),
    "bits": draw.integers(0, 2, (80, 6, 5)).astype(bool),
    "bits-as-floats": draw.integers(0, 2, (80, 7)).astype(np.float64),
    "pixels-as-integers": draw.integers(0, 256, (80, 1, 6, 5)),
    "counts": draw.integers(0, 2**30, (80, 7)),
    "vectors": draw.normal(size=(80, 7)),
    "numbers": draw.normal(size=80).astype(np.float16),
    "big-endian": draw.random((80, 7)).astype(">f8"),
    "columns-first": np.asfortranarray(draw.random((80, 7))),
}


@pytest.mark.parametrize("few", [stored.PIECE, 100], ids=["whole", "in-pieces"])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_on_the_disk_is_the_one_in_memory(tmp_path, monkeypatch, name, few):
    monkeypatch.setattr(stored, "PIECE", few)
    np.save(tmp_path / "a.npy", ARRAYS[name])
    held, streamed = both(tmp_path / "a.npy")
    x, on_disk = held.columns["train"]["x"], streamed.columns["train"]["x"]
    assert isinstance(on_disk, Stored)
    assert (on_disk.shape, on_disk.dtype, len(on_disk), on_disk.dim()) == (x.shape, x.dtype, len(x), x.dim())
    rows = torch.tensor([5, 3, 3, 60])
    assert torch.equal(on_disk[:], x)
    assert torch.equal(on_disk[rows], x[rows])
    assert torch.equal(on_disk.select(rows)[1:], x[rows][1:])
    assert on_disk[rows].dtype == x.dtype
    for split in ("valid", "test"):
        assert torch.equal(streamed.columns[split]["x"], held.columns[split]["x"])
    assert streamed.fields == held.fields
    assert torch.equal(streamed.fields["x"].mean, held.fields["x"].mean)
    assert streamed.transforms == held.transforms
    assert streamed.description == held.description | {"streamed": True}


@pytest.mark.parametrize("mode", ["dynamic", "threshold", "none"])
def test_pixels_are_made_binary_as_they_are_read(npy, mode):
    held, streamed = both(npy, binarize=mode)
    assert streamed.fields["x"].kind == held.fields["x"].kind
    assert torch.equal(streamed.fields["x"].mean, held.fields["x"].mean)
    assert streamed.description == held.description | {"streamed": True}
    assert torch.equal(streamed.split("train", ("x",), limit=20)[0], held.split("train", ("x",))[0][:20])


@pytest.mark.parametrize("mode", ["dynamic", "threshold"])
def test_a_folder_on_the_disk_is_the_one_in_memory(folder, mode):
    held, streamed = both(folder, binarize=mode)
    assert isinstance(streamed.columns["train"]["x"], Stored)
    assert torch.equal(streamed.columns["train"]["x"][:], held.columns["train"]["x"])
    assert torch.equal(streamed.columns["train"]["y"], held.columns["train"]["y"])
    for split in ("valid", "test"):
        assert same(streamed.columns[split], held.columns[split])
    assert torch.equal(streamed.fields["x"].mean, held.fields["x"].mean)
    assert streamed.fields == held.fields
    assert streamed.transforms == held.transforms


def test_only_train_of_a_folder_of_splits_stays_on_the_disk(folder):
    (folder.parent / "all").mkdir()
    folder.rename(folder.parent / "all" / "train")
    for name in ("cat", "dog"):
        (folder.parent / "all" / "test" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), (250, 7, 7)).save(folder.parent / "all" / "test" / name / "one.png")
    held, streamed = both(folder.parent / "all", image_size=4)
    assert streamed.description["counts"] == {"train": 54, "valid": 6, "test": 2}
    assert streamed.fields["x"].shape == (3, 4, 4)  # one colour image among gray ones
    assert torch.equal(streamed.columns["train"]["x"][:], held.columns["train"]["x"])
    for split in ("valid", "test"):
        assert same(streamed.columns[split], held.columns[split])


def test_limit_train_and_the_seed_choose_the_same_rows(npy, folder):
    for path in (npy, folder):
        held, streamed = both(path, limit_train=9, data_seed=3)
        assert streamed.size("train") == 9
        assert torch.equal(streamed.columns["train"]["x"][:], held.columns["train"]["x"])
        assert torch.equal(streamed.columns["test"]["x"], held.columns["test"]["x"])


# ---- the same training


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("mode", ["dynamic", "threshold", "none"])
def test_a_fit_on_an_array_is_bit_for_bit_the_same(npy, workers, mode):
    held = pyrovae.fit("vae", data=npy, binarize=mode, **SHORT, **TINY)
    streamed = pyrovae.fit("vae", data=str(npy), binarize=mode, stream=True, workers=workers, **SHORT, **TINY)
    assert same(tensors.weights(streamed.pair), tensors.weights(held.pair))
    assert same(streamed.last, held.last)
    assert metrics(streamed) == metrics(held)
    assert results(streamed) == results(held)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_fit_on_a_folder_with_labels_is_bit_for_bit_the_same(folder, workers):
    options = {"binarize": "dynamic", **SHORT, **TINY}
    held = pyrovae.fit("cvae", data=folder, **options)
    streamed = pyrovae.fit("cvae", data=folder, stream=True, workers=workers, **options)
    assert same(tensors.weights(streamed.pair), tensors.weights(held.pair))
    assert metrics(streamed) == metrics(held)
    assert results(streamed) == results(held)


def test_steps_that_are_lowered_train_the_same(npy, monkeypatch):
    monkeypatch.setattr("pyrovae.lowering.engine.FEW", 1)
    options = {**SHORT, **TINY, "compile": None}
    held = pyrovae.fit("vae", data=npy, **options)
    streamed = pyrovae.fit("vae", data=npy, stream=True, workers=0, **options)
    assert streamed.results["engine"] == held.results["engine"] != "eager"
    assert same(tensors.weights(streamed.pair), tensors.weights(held.pair))


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_generator_are_those_of_resident_data(folder, workers):
    held, streamed = both(folder)
    columns = stream.place(streamed.columns["train"], CPU, workers)
    try:
        found = []
        for each in (held.columns["train"], columns):
            torch.manual_seed(7)
            found.append([list(stream.batches(each, shuffled(len(each["x"]), 14))) for _ in range(3)])
            found[-1].append([{"state": torch.get_rng_state()}])
    finally:
        stream.close(columns)
    for ours, theirs in zip(*found, strict=True):
        assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    epochs = found[1][:3]
    assert [[len(rows["x"]) for rows in epoch] for epoch in epochs] == [[14, 14, 14, 6]] * 3
    assert not torch.equal(epochs[0][0]["y"], epochs[1][0]["y"]) or not torch.equal(
        epochs[0][0]["x"], epochs[1][0]["x"]
    )


def test_workers_live_through_the_epochs_and_end_with_training(npy):
    data, seen = load(npy, DataConfig(stream=True, workers=2)), []

    def listen(metrics):
        seen.append(sorted({process.pid for process in multiprocessing.active_children()} - others))

    pair = pyrovae.fit("vae", data=data, **{**SHORT, **TINY}).pair
    others = {process.pid for process in multiprocessing.active_children()}  # on their way out
    with seeded(0):
        train(pair, data, TrainConfig(epochs=3, compile=False), CPU, progress(False), listen)
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 2


def test_workers_are_as_many_as_cores_where_none_are_given(npy, monkeypatch):
    columns = load(npy, DataConfig(stream=True)).columns["train"]
    for cores, workers in ((1, 1), (3, 3), (64, 4)):
        monkeypatch.setattr(stream, "_cores", lambda cores=cores: cores)
        assert stream.place(columns, CPU)["x"]._loader.num_workers == workers


# ---- never all at once


@pytest.fixture
def asked(monkeypatch):
    """How many rows are read from an array at a time."""
    counts, read = [], NpyFile.read

    def listen(self, rows):
        counts.append(len(rows))
        return read(self, rows)

    monkeypatch.setattr(NpyFile, "read", listen)
    return counts


def test_train_is_never_read_at_once(npy, monkeypatch, asked):
    monkeypatch.setattr(stored, "PIECE", 10 * 30)
    fitted = pyrovae.fit("vae", data=npy, stream=True, workers=0, **SHORT, **TINY)
    assert fitted.description["counts"]["train"] == 64
    assert max(asked) == 14  # a batch
    assert asked.count(14) == 4 * 3 + 3  # those of three epochs, and the examples of a step
    assert (
        sum(asked) < 64 * (2 + 3) + 16 + 3 * 14 + 10
    )  # looked at, fingerprint, epochs; valid and test; the first rows


@pytest.mark.parametrize(("mode", "passes"), [("dynamic", 2), ("threshold", 3)])
@pytest.mark.parametrize("name", ["gray", "pixels-as-integers"])
def test_an_array_is_read_twice_before_training(tmp_path, asked, name, mode, passes):
    """For what there is to know and for the fingerprint; bits have a mean of their own."""
    np.save(tmp_path / "a.npy", ARRAYS[name])
    load(tmp_path / "a.npy", DataConfig(stream=True, binarize=mode))
    assert sum(asked) == 1 + 8 + 8 + passes * 64  # the first, valid, test, train


def test_a_folder_is_not_decoded_before_it_is_trained_on(folder, monkeypatch):
    opened, image = [], pyrovae.data.readers.folder._decoded

    def listen(path, *how):
        opened.append(path)
        return image(path, *how)

    monkeypatch.setattr("pyrovae.data.readers.folder._decoded", listen)
    monkeypatch.setattr(stored, "SAMPLE", 5)
    dataset = load(folder, DataConfig(stream=True))
    assert len(opened) == 1 + 5 + 12  # the first, those of the mean, valid and test
    chosen = dataset.columns["train"]["x"][[0, 9, 19, 28, 38]]
    torch.testing.assert_close(dataset.fields["x"].mean, chosen.float().mean(0) / 255)


def test_no_content_goes_to_a_worker_that_is_not_forked(npy, folder):
    for path in (npy, folder):
        column = load(path, DataConfig(stream=True, binarize="threshold")).columns["train"]["x"]
        column.source.shape = (10**6, *column.source.shape[1:])
        sent = pickle.dumps(Stored(column.source, column.rows[:1], column.steps, column.dtype))
        assert len(sent) < 3000  # 80 images are 2,400 bytes, 60 names are 660
        assert torch.equal(pickle.loads(sent)[:], column[:1])


# ---- when


def test_data_that_leave_no_memory_are_streamed_of_themselves(npy, folder, monkeypatch):
    size = npy.stat().st_size
    for path, nbytes in ((npy, size), (folder, 60 * 30)):
        monkeypatch.setattr(stored, "free_memory", lambda nbytes=nbytes: 2 * nbytes)
        assert "streamed" not in load(path).description
        monkeypatch.setattr(stored, "free_memory", lambda nbytes=nbytes: 2 * nbytes - 1)
        told = load(path).description
        assert told["streamed"] is True
        assert "more than half of the free memory; stream=False" in told["notes"][-1]
        assert "streamed" not in load(path, DataConfig(stream=False)).description
        assert "streamed" not in load(path, DataConfig(binarize="static")).description
    assert "streamed" not in load(npy, DataConfig(image_size=3)).description
    assert "streamed" not in load(folder, DataConfig(image_size=2)).description  # these are small enough
    assert "streamed" not in load("digits").description
    monkeypatch.setattr(stored, "free_memory", lambda: None)
    assert "streamed" not in load(npy).description


def test_free_memory_is_some_of_this_machine(monkeypatch):
    assert 2**20 < stored.free_memory() < 2**50
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: (_ for _ in ()).throw(FileNotFoundError()))
    assert 2**20 < stored.free_memory() < 2**50
    monkeypatch.delattr(os, "sysconf")
    assert stored.free_memory() is None


# ---- what is refused


def test_what_cannot_be_streamed_says_what_can(tmp_path, npy):
    np.savez(tmp_path / "a.npz", x=np.load(npy))
    (tmp_path / "a.txt").write_text("a b\n" * 9)
    (tmp_path / "rows.amat").write_text("0 1\n" * 9)
    for data in ("digits", "pydoc", "mnist", tmp_path / "a.npz", tmp_path / "a.txt", tmp_path / "rows.amat"):
        with pytest.raises(UsageError, match=r"stream=True: data '.*' are held in memory, and only a folder .*\.npy"):
            load(data, DataConfig(stream=True, data_root=tmp_path))
    with pytest.raises(UsageError, match="data 'arrays' are held in memory"):
        load(torch.rand(30, 4), DataConfig(stream=True))
    (tmp_path / "texts").mkdir()
    (tmp_path / "a.txt").rename(tmp_path / "texts" / "train.txt")
    with pytest.raises(UsageError, match="texts' are held in memory"):
        load(tmp_path / "texts", DataConfig(stream=True))


def test_options_that_need_the_memory_are_refused_with_the_cure(npy, folder):
    for path in (npy, folder):
        with pytest.raises(UsageError, match=r"binarize='static': .* take dynamic or threshold, or stream=False"):
            load(path, DataConfig(stream=True, binarize="static"))
    with pytest.raises(UsageError, match=r"image_size=3: .* streamed at 6x5: .* a folder of images, .*stream=False"):
        load(npy, DataConfig(stream=True, image_size=3))
    vectors = npy.with_name("vectors.npy")
    np.save(vectors, np.random.default_rng(0).normal(size=(80, 3)))
    with pytest.raises(UsageError, match=r"binarize='dynamic': x of data .* lies in \[-.*\]: scale it"):
        load(vectors, DataConfig(stream=True, binarize="dynamic"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.where(np.arange(160) % 80 == 70, np.nan, 1.0).reshape(80, 2), r"rows 3\d to .* holds \d+ values .* NaN"),
        (np.zeros((0, 4), np.float32), r"damaged|shape \(0, 4\): give at least one datum"),
        (np.zeros((9, 0), np.float32), r"damaged|shape \(9, 0\)"),
        (np.float32(3), r"shape \(\)"),
        (np.zeros((9, 2), np.complex64), "is complex"),
        (np.array(["a", "b", "c"]), "is <U1"),
        (np.zeros((9, 5, 6, 4), np.uint8), r"shape \(1, 5, 6, 4\): give"),
    ],
    ids=["nan", "empty", "no-numbers", "scalar", "complex", "text", "channels"],
)
def test_faults_of_arrays(tmp_path, monkeypatch, array, message):
    monkeypatch.setattr(stored, "PIECE", 20)
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(PyrovaeError, match=rf"a\.npy.*({message})") as caught:
        load(tmp_path / "a.npy", DataConfig(stream=True, held_out=1))
    assert "\n" not in str(caught.value)


def test_faults_of_array_files(tmp_path, npy):
    np.save(tmp_path / "o.npy", np.array([{}, 1, "a"], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "z.npz", x=np.load(npy))
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    (tmp_path / "cut.npy").write_bytes(npy.read_bytes()[:-9])
    (tmp_path / "none.npy").write_bytes(b"")
    for name, message in (
        ("o", "holds Python objects, which are never loaded"),
        ("z", "is a .npz file, or another archive: end its name in .npz"),
        ("cut", "damaged"),
        ("none", "damaged"),
    ):
        with pytest.raises(PyrovaeError, match=rf"{name}\.npy {message}|{name}\.npy .*{message}"):
            load(tmp_path / f"{name}.npy", DataConfig(stream=True))


def test_images_of_other_sizes_or_depths_are_told_from_their_headers(folder, monkeypatch):
    monkeypatch.setattr(stored, "SAMPLE", 1)
    Image.new("L", (9, 8)).save(folder / "dog" / "017.png")
    with pytest.raises(PyrovaeError, match=r"017.png is 8x9 and .*000.png is 6x5: give image_size"):
        load(folder, DataConfig(stream=True))
    assert load(folder, DataConfig(stream=True, image_size=4)).fields["x"].shape == (1, 4, 4)
    Image.new("I;16", (5, 6)).save(folder / "dog" / "017.png")
    with pytest.raises(PyrovaeError, match=r"017.png has more than 8 bits"):
        load(folder, DataConfig(stream=True))
    (folder / "dog" / "017.png").write_bytes(b"rubbish")
    with pytest.raises(PyrovaeError, match=r"017.png is no image that can be read"):
        load(folder, DataConfig(stream=True))


# ---- what goes wrong while training


def damage(folder, monkeypatch):
    """An image of train whose header is whole and whose pixels are not, where only training looks at it."""
    monkeypatch.setattr(stored, "SAMPLE", 1)
    x = load(folder, DataConfig(stream=True)).columns["train"]["x"]
    path = x.source._files(x.rows[[20]])[0]
    path.write_bytes(path.read_bytes()[:-30])
    return path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_told_in_one_sentence(folder, monkeypatch, tmp_path, workers):
    path = damage(folder, monkeypatch)
    fit = (
        "fit",
        "--model",
        "vae",
        "--data",
        folder,
        "--stream",
        "--workers",
        workers,
        "--epochs",
        2,
        "--device",
        "cpu",
    )
    result = run(*fit, "--batch-size", 10, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert f"{path} is no image that can be read" in the_error(result.stderr)
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_gone_is_told(folder, monkeypatch):
    data = load(folder, DataConfig(stream=True, workers=2))
    x = data.columns["train"]["x"]
    (path,) = x.source._files(x.rows[[20]])
    path.unlink()
    with pytest.raises(PyrovaeError, match=rf"{path} is no image that can be read .*No such file"):
        pyrovae.fit("vae", data=data, **SHORT, **TINY)


def overwritten(path):
    """By other values; its time is another, however coarse the clock is."""
    np.save(path, np.load(path) ^ 1)
    os.utime(path, ns=(0, 0))


def replaced(path):
    """By a file of the same size and time."""
    other, was = path.with_name("other.npy"), path.stat()
    np.save(other, np.load(path) ^ 1)
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.replace(path)


def shorter(path):
    """By a row. The file is smaller than a page of memory: what is missing reads as zeros and harms no process."""
    was = path.stat()
    os.truncate(path, was.st_size - 30)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def longer(path):
    was = path.stat()
    with open(path, "ab") as file:
        file.write(bytes(30))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


CHANGES = (overwritten, replaced, shorter, longer)


CHANGED = r"images\.npy has changed since it was opened, .*: start again, with a file that nothing writes to"


class Changing(type(progress(False))):
    """A file that changes after each epoch."""

    def __init__(self, path, change):
        super().__init__(Spare(), silent=True)
        self.path, self.change, self.epochs = path, change, 0

    def advance(self, n=1, **figures):
        self.epochs += 1
        self.change(self.path)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_array_that_changes_while_it_is_trained_on_is_told_at_the_next_epoch(npy, workers, change):
    show = Changing(npy, change)
    with pytest.raises(PyrovaeError, match=CHANGED):
        pyrovae.fit("vae", data=npy, stream=True, workers=workers, **SHORT, **{**TINY, "show": show})
    assert show.epochs == 1


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_in_the_last_epoch_it_is_told_at_its_end(npy, change):
    columns = stream.place(load(npy, DataConfig(stream=True)).columns["train"], CPU, 0)
    batches = stream.batches(columns, torch.arange(64).split(32))
    next(batches), next(batches)
    change(npy)
    with pytest.raises(PyrovaeError, match=CHANGED):
        next(batches)


@pytest.mark.parametrize("change", [shorter, longer])
def test_an_array_of_another_size_is_told_where_it_is_read(npy, change):
    x = load(npy, DataConfig(stream=True)).columns["train"]["x"]
    assert len(x[:3]) == 3
    change(npy)
    for column in (x, pickle.loads(pickle.dumps(x))):  # in this process, and in another one
        with pytest.raises(PyrovaeError, match=CHANGED):
            column[:3]
    npy.unlink()
    with pytest.raises(PyrovaeError, match=r"images\.npy cannot be read: No such file"):
        pickle.loads(pickle.dumps(x))[:3]


def test_an_array_that_is_cut_while_rows_are_copied_is_told(npy):
    source = NpyFile(npy)
    opened, array = source._open()

    class Cut:
        """Between the question for its size and the copy the file gets shorter."""

        def __getitem__(self, rows):
            found = array[rows]
            shorter(npy)
            return found

    source._opened = opened, Cut()
    with pytest.raises(PyrovaeError, match=CHANGED):
        source.read(np.arange(3))


BEYOND = """
import os, sys
import numpy as np
from pyrovae.data.readers.npy import NpyFile

source = NpyFile(__import__("pathlib").Path(sys.argv[1]))
os.truncate(sys.argv[1], 4096)
source._stamp = source._stamp._replace(size=4096)  # as if it were cut behind the question
source.read(np.arange(source.shape[0]))
"""


def test_a_process_that_reads_beyond_an_array_says_where_it_ends(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1000, 100), np.float32))
    ended = subprocess.run([sys.executable, "-c", BEYOND, tmp_path / "x.npy"], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in ended.stderr
    assert "npy.py" in ended.stderr


class Dies:
    """A source that ends the worker that reads the last row."""

    shape, dtype, costly = (20, 2), torch.float32, False

    def require_unchanged(self):
        pass

    def read(self, rows):
        if 19 in rows and torch.utils.data.get_worker_info() is not None:
            os._exit(7)
        return torch.from_numpy(np.repeat(rows[:, None], 2, 1)).float()


def test_a_worker_that_dies_is_told():
    columns = stream.place({"x": Stored(Dies())}, CPU, 2)
    try:
        with pytest.raises(PyrovaeError, match=r"a process that reads the training data has ended .*workers=0"):
            list(stream.batches(columns, torch.arange(20).split(5)))
    finally:
        stream.close(columns)


class Wrong(Dies):
    def read(self, rows):
        raise RuntimeError("something else")


def test_another_error_keeps_its_kind():
    for workers in (0, 1):
        columns = stream.place({"x": Stored(Wrong())}, CPU, workers)
        try:
            with pytest.raises(RuntimeError, match="something else"):
                list(stream.batches(columns, [torch.arange(3)]))
        finally:
            stream.close(columns)


class Pressed(type(progress(False))):
    """Ctrl-C after the first epoch."""

    def __init__(self):
        super().__init__(Spare(), silent=True)

    def advance(self, n=1, **figures):
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_workers_and_keeps_the_run(npy, tmp_path):
    options = {**SHORT, **TINY, "show": Pressed(), "out": tmp_path / "run"}
    fitted = pyrovae.fit("vae", data=npy, stream=True, workers=2, **options)
    assert fitted.results["stopped"] == "interrupted"
    assert multiprocessing.active_children() == []
    assert same(tensors.weights(pyrovae.load(tmp_path / "run", device="cpu").pair), tensors.weights(fitted.pair))


def test_ctrl_c_in_a_terminal_reaches_the_workers_too(npy, tmp_path):
    """The signal goes to every process of the group, as from a keyboard."""
    fit = ("fit", "--model", "vae", "--data", npy, "--stream", "--workers", 2, "--epochs", 10**6, "--device", "cpu")
    command = [sys.executable, "-m", "pyrovae", *map(str, fit), "--no-compile", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        lines = tmp_path / "run" / "metrics.jsonl"
        while process.poll() is None and not (lines.exists() and lines.read_text().count("\n") > 2):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=120)
        assert process.returncode == 130, told
        assert "stopped by Ctrl-C" in told
        assert "Traceback" not in told
        with pytest.raises(ProcessLookupError):  # no process of the group is left
            os.killpg(process.pid, 0)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["results"]["stopped"] == "interrupted"


# ---- what else looks at the training data


def test_train_is_looked_at_with_a_limit_only(folder):
    held, streamed = both(folder, binarize="dynamic")
    with pytest.raises(PyrovaeError, match=r"the train split of data '.*' is read from disk, and its 48 data .*limit"):
        streamed.split("train", ("x", "y"))
    part = streamed.split("train", ("x", "y"), limit=10)
    assert all(torch.equal(a, b[:10]) for a, b in zip(part, held.split("train", ("x", "y")), strict=True))
    assert len(streamed.split("train", ("x",), limit=10**6)[0]) == 48
    assert streamed.lengths("train") is None


def test_quadrants_of_streamed_images(npy):
    held, streamed = (with_quadrants(data, 2) for data in both(npy, binarize="dynamic"))
    parts = [data.split("train", ("x", "y"), limit=10) for data in (held, streamed)]
    assert all(torch.equal(a, b) for a, b in zip(*parts, strict=True))
    options = {**SHORT, **TINY, "condition": "quadrants", "binarize": "dynamic"}
    fits = [pyrovae.fit("cvae", data=npy, stream=on_disk, workers=0, **options) for on_disk in (False, True)]
    assert same(*(tensors.weights(fitted.pair) for fitted in fits))


def test_commands_on_a_streamed_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit = ("fit", "--model", "cvae", "--data", "photos", "--binarize", "dynamic", "--epochs", 1, "--device", "cpu")
    done(*fit, "--latent-dim", 2, "--hidden", 4, "--score-samples", 2, "--stream", "--workers", 0, "--out", "run")
    options = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["data_options"]
    assert (options["stream"], options["workers"]) == (True, 0)
    for words in (("evaluate", "run"), ("loglik", "run", "--samples", 2), ("encode", "run")):
        assert run(*words).exit_code == 0
        result = run(*words, "--split", "train")
        assert result.exit_code == 1
        assert "is read from disk, and its 48 data are not held in memory at once: give --limit" in the_error(
            result.stderr
        )
        done(*words, "--split", "train", "--limit", 7)
    latents = np.load(tmp_path / "latents.npz")
    assert len(latents["z_mean"]) == len(latents["y"]) == 7
    done("encode", "run", "--split", "train", "--picture", "latents.png")
    fitted = pyrovae.load("run", device="cpu")
    assert torch.equal(fitted.labels("train"), both(folder)[0].columns["train"]["y"])
    assert fitted.labels("train", 5).tolist() == fitted.labels("train").tolist()[:5]


def test_a_streamed_run_knows_its_data_again(npy, folder, tmp_path, monkeypatch):
    for path, name in ((npy, "a"), (folder, "b")):
        monkeypatch.setattr(stored, "free_memory", lambda: 10)
        fitted = pyrovae.fit("vae", data=path, workers=0, out=tmp_path / name, **SHORT, **TINY)
        assert fitted.description["streamed"] is True
        monkeypatch.setattr(stored, "free_memory", lambda: 2**50)  # another machine
        loaded = pyrovae.load(tmp_path / name, device="cpu")
        assert torch.equal(loaded.split("test")[0], fitted.split("test")[0])
        assert loaded.recipe.data_options.stream is None
        elsewhere = path.rename(path.with_name(f"moved-{path.name}"))
        assert len(pyrovae.load(tmp_path / name, data=elsewhere, device="cpu").split("test")[0]) == len(
            loaded.split()[0]
        )
    one = np.load(tmp_path / "moved-images.npy")
    one[loaded.data.columns["test"]["x"].shape[0]] ^= 1
    np.save(tmp_path / "images.npy", one)
    with pytest.raises(PyrovaeError, match="are not those of this run"):
        pyrovae.load(tmp_path / "a", device="cpu").split("test")
    (tmp_path / "moved-photos").rename(folder)
    (folder / "cat" / "001.png").rename(folder / "cat" / "001b.png")
    with pytest.raises(PyrovaeError, match="are not those of this run"):
        pyrovae.load(tmp_path / "b", device="cpu").split("test")


def test_a_run_in_memory_is_loaded_into_memory(folder, tmp_path, monkeypatch):
    pyrovae.fit("vae", data=folder, out=tmp_path / "run", **SHORT, **TINY)
    monkeypatch.setattr(stored, "free_memory", lambda: 10)
    assert len(pyrovae.load(tmp_path / "run", device="cpu").split("train")[0]) == 48


def test_the_fingerprint_of_a_folder_is_of_names_and_sizes(folder):
    before = load(folder, DataConfig(stream=True)).description
    assert before["fingerprint_of"] == "names and sizes of the training files, values of the rest"
    assert json.loads(json.dumps(before)) == before
    assert load(folder, DataConfig(stream=True)).description["fingerprint"] == before["fingerprint"]
    x = load(folder, DataConfig(stream=True)).columns["train"]["x"]
    (path,) = x.source._files(x.rows[[20]])
    with open(path, "ab") as file:
        file.write(b"more")
    assert load(folder, DataConfig(stream=True)).description["fingerprint"] != before["fingerprint"]
