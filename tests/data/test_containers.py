"""Lists, Datasets of torch, dicts by other names, text and classes in text: what they are read as."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

import pyrovae
from pyrovae import Pair, PyrovaeError
from pyrovae.data.catalogue import load

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3
NAMES = ["eel", "cat", "dog"]  # 0, 1 and 2 of Y; sorted, 2, 0 and 1
TEXTS = [NAMES[int(y)] for y in Y]
SORTED = torch.tensor([sorted(NAMES).index(text) for text in TEXTS])
LINES = ["the cat sat", "a dog ran", "the eel swam"] * 9
QUICK = {"epochs": 1, "hidden": (4,), "latent_dim": 2, "score_samples": 2, "device": "cpu", "show": False}


class Items(TorchDataset):
    def __init__(self, item, count=40):
        self.item, self.count = item, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if i >= self.count:
            raise IndexError(i)
        return self.item(i)


class Endless(IterableDataset):
    def __iter__(self):
        return iter(())


def same(data, wanted):
    found, expected = load(data), load(wanted)
    assert found.description | {"notes": []} == expected.description | {"notes": []}
    assert found.fields.keys() == expected.fields.keys()
    return found


def npz(path, *positions, **arrays):
    np.savez(path, *[np.asarray(each) for each in positions], **{name: np.asarray(a) for name, a in arrays.items()})
    return path


@pytest.mark.parametrize(
    "data",
    [
        list(X),
        list(X.numpy()),
        X.tolist(),
        [tuple(row) for row in X.tolist()],
        TensorDataset(X),
        Items(lambda i: X[i]),
        Items(lambda i: (X[i].numpy(),)),
        {"X": X},
        {"Data": X},
    ],
    ids=["tensors", "arrays", "numbers", "tuples", "tensor-dataset", "dataset", "tuples-of-one", "X", "Data"],
)
def test_what_holds_x_alone_is_x(data):
    same(data, X)


@pytest.mark.parametrize(
    "data",
    [
        TensorDataset(X, Y),
        Items(lambda i: (X[i], int(Y[i]))),
        Items(lambda i: {"x": X[i], "label": Y[i]}),
        [(X[i], int(Y[i])) for i in range(40)],
        [(X[i].numpy(), Y[i]) for i in range(40)],
        (X.tolist(), Y.tolist()),
        {"X": X, "Y": Y},
        {"x": X, "target": Y},
        {"images": X, "Labels": Y.tolist()},
    ],
    ids=["tensors", "dataset", "dicts", "list", "list-of-arrays", "lists", "X-Y", "target", "images-Labels"],
)
def test_what_holds_x_and_y_is_both(data):
    same(data, (X, Y))


def test_splits_go_by_other_names_too():
    wanted = {"train": (X[:20], Y[:20]), "valid": (X[20:30], Y[20:30]), "test": (X[30:], Y[30:])}
    parts = [slice(20), slice(20, 30), slice(30, 40)]
    same(
        {name: TensorDataset(X[part], Y[part]) for name, part in zip(("Train", "val", "test"), parts, strict=True)},
        wanted,
    )
    keys = [f"{field}_{split}" for split in ("train", "val", "test") for field in ("X", "y")]
    same(dict(zip(keys, [each[part] for part in parts for each in (X, Y)], strict=True)), wanted)
    with pytest.raises(PyrovaeError, match="valid, val name a split twice"):
        load({"train": X, "valid": X, "val": X})


def test_images_of_a_dataset_are_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 5, 6, 3), np.uint8)
    same(Items(lambda i: (Image.fromarray(pixels[i]), int(Y[i]))), (pixels, Y))


@pytest.mark.parametrize(
    ("arrays", "wanted"),
    [
        (([X], {}), (X,)),
        (([X, Y], {}), (X, Y)),
        (([], {"X": X, "target": Y}), (X, Y)),
        (([], {"X_train": X[:30], "X_test": X[30:]}), {"train": X[:30], "test": X[30:]}),
    ],
    ids=["arr_0", "arr_0-arr_1", "X-target", "X_train"],
)
def test_arrays_of_a_file_go_by_other_names_too(tmp_path, arrays, wanted):
    found = load(npz(tmp_path / "a.npz", *arrays[0], **arrays[1]))
    assert found.description["fingerprint"] == load(wanted).description["fingerprint"]


def test_one_array_of_another_name_keeps_it(tmp_path):
    assert set(load(npz(tmp_path / "a.npz", expression=X)).fields) == {"expression"}
    assert set(load({"x": X, "data": X}).fields) == {"x", "data"}
    assert set(load({"y": Y, "label": Y, "x": X}).fields) == {"x", "y", "label"}


class Labelled(nn.Module):
    def forward(self, image, label):
        with pyro.plate("data", len(image), dim=-1):
            z = pyro.sample("z", dist.Normal(image.new_zeros(4), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z + label[:, None], 1.0).to_event(1), obs=image)


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(4))

    def forward(self, image, label):
        with pyro.plate("data", len(image), dim=-1):
            pyro.sample("z", dist.Normal(image + self.loc, 1.0).to_event(1))


def test_a_pair_may_call_them_by_other_names(tmp_path):
    pair = Pair(Labelled(), Reader(), inputs=("image", "label"))
    options = {key: value for key, value in QUICK.items() if key not in ("hidden", "latent_dim")}
    run = pyrovae.fit(pair, data={"image": X, "label": Y}, out=tmp_path / "run", **options)
    assert run.pair.inputs == ("x", "y")
    again = pyrovae.load(tmp_path / "run", pair=Pair(Labelled(), Reader(), inputs=("image", "label")))
    assert torch.equal(again.on({"X": X, "target": Y}).split()[1], Y)


# ---- text and classes in text


@pytest.mark.parametrize("data", [LINES, np.array(LINES), (LINES,), {"x": LINES}, Items(LINES.__getitem__, len(LINES))])
def test_strings_are_sentences(data, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    assert load(data).description["fingerprint"] == load(tmp_path / "a.txt").description["fingerprint"]


def test_splits_of_strings_and_new_sentences():
    run = pyrovae.fit("textvae", data={"train": LINES, "test": LINES[:3]}, embedding=3, **QUICK | {"hidden": 4})
    assert run.data.size("test") == 3
    assert run.vocabulary.decode(run.on(["the dog sat", "", "a cat"]).split()[0]) == ["the dog sat", "a cat"]


@pytest.mark.parametrize(
    "y",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, object),
        np.array(TEXTS, "S"),
        np.array(TEXTS, ">U3"),
        np.array(TEXTS, object)[:, None],
    ],
    ids=["list", "tuple", "array", "objects", "bytes", "big-endian", "column"],
)
def test_classes_in_text_are_in_the_order_of_their_names(y, tmp_path):
    data = load((X, y))
    assert data.fields["y"].names == ("cat", "dog", "eel")
    assert (data.fields["y"].kind, data.fields["y"].size) == ("category", 3)
    assert data.description["fingerprint"] == load((X, SORTED)).description["fingerprint"]
    if isinstance(y, np.ndarray) and y.dtype.kind != "O":
        assert load(npz(tmp_path / "a.npz", x=X, y=y)).fields["y"].names == ("cat", "dog", "eel")


def test_classes_that_are_missing_and_those_of_other_fields():
    data = load({"x": X, "y": [None, "", float("nan"), *TEXTS[3:]], "site": [*TEXTS[:39], "ox"]})
    labels = torch.cat([data.columns[split]["y"] for split in data.columns])
    assert int((labels == -1).sum()) == 3
    assert any("3 of 40 labels are missing" in note for note in data.description["notes"])
    assert data.fields["site"].names == ("cat", "dog", "eel", "ox")
    data = load({"train": (X[:30], TEXTS[:30]), "test": (X[30:], ["ant"] * 10)})
    assert data.fields["y"].names == ("ant", "cat", "dog", "eel")


def test_classes_of_new_data_are_those_of_the_names(tmp_path):
    run = pyrovae.fit("cvae", data=(X, TEXTS), out=tmp_path / "run", **QUICK)
    run = pyrovae.load(tmp_path / "run")
    assert run.on((X[:2], ["eel", "dog"])).split()[1].tolist() == [2, 1]
    assert run.on(TensorDataset(X[:2], torch.tensor([2, 0]))).split()[1].tolist() == [2, 0]
    with pytest.raises(PyrovaeError, match="class 'fox' of y is none of this run, which has cat, dog, eel"):
        run.on((X[:2], ["eel", "fox"]))
    numbers = pyrovae.fit("cvae", data=(X, Y), **QUICK)
    with pytest.raises(PyrovaeError, match="y is text, as 'dog', and the classes of this run are the numbers 0 to 2"):
        numbers.on((X[:2], ["eel", "dog"]))


# ---- what is refused, and what is told

FAULTS = {
    "loader": (DataLoader(TensorDataset(X)), r"a DataLoader makes batches of data: give what it reads, its \.dataset"),
    "endless": (Endless(), "a Endless has no length"),
    "empty": (Items(lambda i: X[i], 0), "a Items of no data"),
    "three": (Items(lambda i: (X[i], 1, 2)), r"item 0 has 3 parts, and a datum is x, \(x, y\) or a dict"),
    "tensors": (TensorDataset(X, X, X), "a TensorDataset of 3 tensors: give a dict"),
    "ragged": (Items(lambda i: X[i, : 2 + i % 2]), r"x has shape \(2,\) in item 0 and \(3,\) in item 1"),
    "parts": (Items(lambda i: (X[i], 1)[: 1 + i % 2]), "item 0 has the parts x, and item 1 x, y"),
    "text-and-y": ((LINES, [0] * len(LINES)), "x is text, and y stands beside it"),
    "some-text": ({"train": (X, TEXTS), "test": (X, Y)}, "y is text in some splits only, not in test"),
    "text-in-one": ({"train": LINES, "test": X}, "train is text and others are not"),
    "no-text": ((X, ["\ud800"] * 40), "y of train holds strings that are no text"),
    "beyond": ((X, np.frombuffer(b"\xff\xff\xff\x7f" * 40, "<U1")), "y of train holds strings that are no text"),
    "bytes": ((X, np.array([b"\xff"] * 40)), "y of train holds strings that are no text"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_read_is_told_in_one_sentence(name):
    data, message = FAULTS[name]
    with pytest.raises(PyrovaeError, match=message) as caught:
        load(data)
    assert "\n" not in str(caught.value)


def test_strings_of_no_width_are_refused_before_they_are_counted(tmp_path):
    header = str({"descr": "<U0", "fortran_order": False, "shape": (10**12,)}).ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(PyrovaeError, match="is <U0, no numbers"):
        load(tmp_path / "a.npy")


def test_sparse_matrices_of_scipy_are_named(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.random(30, 4, density=0.5, format="csr")
    for made in (matrix, matrix.tocoo(), sparse.csr_array(matrix)):
        sparse.save_npz(tmp_path / "a.npz", made)
        with pytest.raises(PyrovaeError, match=r"a\.npz is a sparse matrix of scipy \(30 x 4\), and sparse data"):
            load(tmp_path / "a.npz")
        for data in (made, {"x": made}, (made, [0] * 30)):
            with pytest.raises(PyrovaeError, match=r"is a sparse matrix of scipy|: a sparse matrix of scipy"):
                load(data)


def test_counts_under_a_normal_are_told(capsys):
    counts = torch.poisson(torch.full((60, 3), 9.0), generator=torch.Generator().manual_seed(0))

    def told(data, model="vae", **options):
        pyrovae.fit(model, data=data, **QUICK | {"show": None} | options)
        return "as counts are: the Normal of this fit" in capsys.readouterr().err

    assert told(counts)
    assert told(counts.long())
    assert not told(counts + 0.5)
    assert not told(counts - 9)
    assert not told(counts.clamp(max=5))  # as ratings are
