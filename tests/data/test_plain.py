"""Tensors and arrays whose numbers cannot be read as they stand: one sentence with the cure, in every way in."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.masked import masked_tensor

from pyrovae import PyrovaeError
from pyrovae.data.catalogue import load
from pyrovae.data.stored import Stored

X = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32))
HIDDEN = X.numpy() > 1
TABLE = np.zeros(30, [("a", "f4"), ("b", "f4")])


def masked(mask):
    return np.ma.masked_array(np.where(mask, np.float32(-999), X.numpy()), mask=mask)


def quantized():
    return torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)


class Sparse:
    """As scipy's sparse matrices answer."""

    dtype = np.dtype("f4")

    def toarray(self):
        return X.numpy()


class Frame:
    """As frames of pandas answer."""

    def to_numpy(self):
        return X.numpy()


MISSING = (
    rf"{HIDDEN.sum()} of 120 cells masked, and missing cells are not supported yet: fill them, or leave these rows"
)
TENSORS = {
    "sparse": (X.to_sparse(), r"of layout sparse_coo: give every value, \.to_dense\(\)"),
    "meta": (X.to("meta"), "on the device meta, which has no values"),
    "bits": (torch.zeros(30, 4, dtype=torch.uint8).view(torch.bits8), "is bits8: give whole numbers or floats"),
    "complex": (X.to(torch.complex64).conj(), "is complex"),
}
VALUES = {
    **TENSORS,
    "masked": (masked(HIDDEN), MISSING),
    "masked-list": (list(masked(HIDDEN)), "1 of 4 cells masked"),
    "table": (TABLE, r"is a table with the columns a, b: give an array of numbers"),
    "records": (TABLE.view(np.recarray), "is a table with the columns a, b"),
    "dates": (np.zeros((30, 2), "M8[s]"), r"is datetime64\[s\]: give whole numbers"),
    "ragged": ([np.zeros(3), np.zeros(4)] * 15, "is a list that makes no array: give whole numbers or floats"),
    "list-of-sparse": (list(X.to_sparse()), r"sparse_coo: give every value"),
    "scipy": (Sparse(), r"is a Sparse: give its values, \.toarray\(\)"),
}


def in_every_way(value):
    """x, (x, y), a dict, and splits."""
    labels = torch.arange(30) % 2
    tops = [value] if isinstance(value, torch.Tensor | np.ndarray) else []
    return [
        *tops,
        (value, labels),
        {"x": value},
        {"x": X, "c": value},
        {"train": X, "test": {"x": value}},
        {"train": (value, labels)},
    ]


def refused(data):
    with pytest.raises(PyrovaeError) as caught:
        load(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", VALUES)
def test_it_is_told_in_one_sentence_in_every_way_in(name):
    value, message = VALUES[name]
    for data in in_every_way(value):
        with pytest.raises(PyrovaeError, match=message):
            load(data)
        assert "data 'arrays" in refused(data)


@pytest.mark.filterwarnings("ignore:The PyTorch API of", "ignore:Sparse CSR", "ignore:torch.quantize_per")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (X.to_sparse_csr, r"of layout sparse_csr: give every value, \.to_dense\(\)"),
        (quantized, r"is a quantized tensor: give its values, \.dequantize\(\)"),
        (lambda: torch.nested.nested_tensor([X[0]] * 30), "is a nested tensor"),
        (lambda: torch.nested.nested_tensor([X[0]] * 30, layout=torch.jagged), "is a nested tensor"),
        (lambda: masked_tensor(X, torch.from_numpy(~HIDDEN)), MISSING),
        (lambda: masked_tensor(X, torch.ones(30, 4, dtype=torch.bool)), r"without a missing cell: .* \.get_data\(\)"),
    ],
    ids=["rows", "quantized", "nested", "jagged", "masked", "none-missing"],
)
def test_so_are_the_other_kinds_of_tensors(make, message):
    for data in in_every_way(make()):
        with pytest.raises(PyrovaeError, match=message):
            load(data)


def test_labels_under_a_mask_are_told():
    labels = np.ma.masked_array(np.arange(30) % 3, mask=np.arange(30) < 7)
    with pytest.raises(PyrovaeError, match="y of train has 7 of 30 cells masked"):
        load((X, labels))


@pytest.mark.parametrize("mask", [np.zeros((30, 4), bool), np.ma.nomask], ids=["false", "none"])
def test_a_mask_that_hides_nothing_is_taken(mask):
    plain, found = load(X), load(np.ma.masked_array(X.numpy(), mask=mask))
    assert found.description == plain.description


def test_lists_of_plain_numbers_are_taken_as_before():
    for value in (list(X), list(X.numpy()), X.tolist()):
        assert load({"x": value}).description == load({"x": X}).description


@pytest.mark.parametrize("name", [name for name in TENSORS if name not in ("bits", "complex")])
def test_a_dataset_is_made_of_plain_tensors(name):
    value, message = TENSORS[name]
    dataset = load(X)
    assert not isinstance(dataset.columns["train"]["x"], Stored)
    with pytest.raises(PyrovaeError, match=f"data 'arrays': x of test .*{message}"):
        dataclasses.replace(dataset, columns={**dataset.columns, "test": {"x": value}})
    with pytest.raises(PyrovaeError, match="x of test is a MaskedArray and no tensor: give one, or let pyrovae"):
        dataclasses.replace(dataset, columns={**dataset.columns, "test": {"x": masked(HIDDEN)}})


def test_frames_are_asked_for_their_values():
    assert "a Frame is no tensor, array, tuple, dict or Dataset: give its values, .to_numpy()" in refused(Frame())
    assert "a Sparse is no tensor, array, tuple, dict or Dataset: give its values, .toarray()" in refused(Sparse())
