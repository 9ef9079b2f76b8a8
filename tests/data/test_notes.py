"""What data are taken for by their dtype and shape: the values that arrive, and the note that says so."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

import pyrovae
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load
from pyrovae.runs import data as rundata

draw = np.random.default_rng(0)
IMAGES = draw.integers(0, 256, (40, 4, 5)).astype(np.uint8)
COUNTS = draw.poisson(3.0, (40, 6)).astype(np.uint8)
REAL = draw.normal(size=(40, 3)).astype(np.float32)
TINY = {"latent_dim": 2, "hidden": (4,), "score_samples": 2, "epochs": 1, "device": "cpu", "show": False}


def values(dataset, name="x"):
    return torch.cat([dataset.split(split, (name,))[0] for split in dataset.columns])


def notes(data, **options):
    return load(data, DataConfig(**options)).description["notes"]


def same_rows(found, array):
    """Whether both hold the same data, in any order."""
    given = torch.from_numpy(np.asarray(array)).float().flatten(1)
    return sorted(found.flatten(1).tolist()) == sorted(given.tolist())


# ---- whole numbers of a byte


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("shape", [(40, 6), (40, 1, 2, 3), (40, 2, 3)], ids=["vectors", "images", "flat-images"])
def test_counts_of_another_field_than_x_arrive_as_they_are(dtype, shape):
    counts = COUNTS.astype(dtype).reshape(shape)
    dataset = load({"x": REAL, "c": counts})
    assert same_rows(values(dataset, "c"), counts)
    assert values(dataset, "c").dtype == torch.float32
    assert dataset.fields["c"].kind == "real"
    torch.testing.assert_close(dataset.fields["c"].mean, dataset.split("train", ("c",))[0].mean(0))
    assert dataset.description["notes"] == []


def test_counts_of_x_arrive_as_they_are_with_a_note_how_pixels_are_told(tmp_path):
    np.save(tmp_path / "a.npy", COUNTS)
    for data, stream in ((COUNTS, None), (tmp_path / "a.npy", False), (tmp_path / "a.npy", True)):
        dataset = load(data, DataConfig(stream=stream))
        assert dataset.fields["x"].kind == "real"
        (note,) = dataset.description["notes"]
        assert note.startswith("whole numbers in x are taken as they are")
        assert "pixels=True divides them by 255" in note
        assert same_rows(torch.cat([dataset.split(s, ("x",), 40)[0] for s in dataset.columns]), COUNTS)
    with pytest.raises(pyrovae.UsageError, match=r"scale it to \[0, 1\] first, or give pixels=True"):
        load(COUNTS, DataConfig(binarize="threshold"))
    assert load(COUNTS > 2).description["notes"] == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_images_of_x_are_pixels_and_that_is_said(dtype):
    images = IMAGES[:, None].astype(dtype)
    dataset = load(images)
    assert dataset.fields["x"].kind == "unit"
    torch.testing.assert_close(values(dataset).max(), torch.tensor(IMAGES.max() / np.float32(255)))
    (note,) = dataset.description["notes"]
    assert "in images x are taken for pixels and divided by 255; pixels=False" in note


def test_what_is_taken_for_pixels_can_be_said():
    assert notes(IMAGES, pixels=True) == notes(IMAGES, pixels=False) == notes(COUNTS, pixels=True) == []
    assert same_rows(values(load(IMAGES, DataConfig(pixels=False))), IMAGES)
    flat = load(IMAGES.reshape(40, 20), DataConfig(pixels=True))
    assert flat.fields["x"].kind == "unit"
    assert same_rows(values(flat) * 255, IMAGES)
    both = load({"x": IMAGES, "mask": IMAGES}, DataConfig(pixels=True))
    assert same_rows(values(both, "mask") * 255, IMAGES)


def test_what_a_source_knows_for_pixels_needs_no_note():
    assert notes("digits") == []
    assert values(load("digits", DataConfig(pixels=False, binarize="none"))).max() == 16


def test_a_run_that_does_not_say_what_it_took_for_pixels_took_all_bytes():
    """Runs of earlier versions score the values that they were trained on."""
    now = pyrovae.fit("vae", data=COUNTS, **TINY)
    assert same_rows(values(now.data), COUNTS)
    before = {name: value for name, value in now.description.items() if name != "pixels"}
    data = rundata.data_of(now.recipe, before, COUNTS)
    assert same_rows(values(data) * 255, COUNTS)
    again = {**before, "pixels": data.description["pixels"]}  # of that run once it went on
    assert same_rows(values(rundata.data_of(now.recipe, again, COUNTS)) * 255, COUNTS)
    assert same_rows(values(rundata.data_of(now.recipe, now.description, COUNTS)), COUNTS)


# ---- what a folder of images leaves out


@pytest.fixture
def photos(tmp_path):
    """Twelve gray images."""
    for i in range(12):
        Image.fromarray(IMAGES[i]).save(tmp_path / f"{i:02}.png")
    return tmp_path


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("suffix", "split"), [("tif", "."), ("gif", "."), ("png", "."), ("webp", "."), ("tif", "test")]
)
def test_images_of_several_pages_are_refused_with_their_number(photos, suffix, split, stream):
    if split == "test":
        (photos / "train").mkdir()
        for path in photos.glob("*.png"):
            path.rename(photos / "train" / path.name)
    (photos / split).mkdir(exist_ok=True)
    pages = [Image.fromarray(image) for image in IMAGES[:3]]
    pages[0].save(photos / split / f"00.{suffix}", save_all=True, append_images=pages[1:])
    with pytest.raises(pyrovae.PyrovaeError, match=rf"00\.{suffix} holds 3 pages or frames: save each as an image"):
        load(photos, DataConfig(stream=stream))


def test_a_page_by_itself_is_an_image(photos):
    for suffix in ("tif", "gif", "webp"):
        Image.fromarray(IMAGES[0]).save(photos / f"one.{suffix}")
    assert load(photos).size("train") == 11
    assert notes(photos) == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_alpha_channel_is_left_out_with_a_note(photos, stream):
    color = np.repeat(IMAGES[..., None], 4, 3)
    Image.fromarray(color[0]).save(photos / "00.png")
    Image.fromarray(color[1, :, :, :2]).save(photos / "01.png")
    Image.fromarray(IMAGES[2]).save(photos / "02.png", transparency=7)
    (note,) = notes(photos, stream=stream)
    assert note.startswith("3 of 12 images have an alpha channel, which is left out")
    found = torch.cat([load(photos, DataConfig(stream=stream)).columns[s]["x"][:] for s in ("train", "valid", "test")])
    assert same_rows(found, np.repeat(IMAGES[:12, None], 3, 1))


def test_photographs_with_previews_are_taken_with_a_note(photos):
    images = [Image.fromarray(image) for image in IMAGES[:2]]
    images[0].save(photos / "00.jpg", "MPO", save_all=True, append_images=images[1:])
    (photos / "00.png").unlink()
    (note,) = notes(photos)
    assert note == "1 of 12 images are photographs with further pictures (MPO), of which the first is taken"


# ---- labels by other conventions


FOUR = torch.arange(40) % 4


FAULTS = {
    "-1-and-1": (2 * (FOUR % 2) - 1, "1 (20), without data 0, 20 of 40 labels are missing (-1): if -1 and 1 are two"),
    "255": (torch.where(FOUR == 3, 255, FOUR), "255 (10), without data 3, 4, 5, 6, 7, ... (252): if 255 marks what is"),
    "from-1": (FOUR + 1, "y has 5 classes: 1 (10), 2 (10), 3 (10), 4 (10), without data 0: number the classes from 0"),
    "gaps": (
        2 * (torch.arange(40) % 8),
        "8 (5), ... (8), without data 1, 3, 5, 7, 9, ... (7): number the classes 0, 1",
    ),
    "missing": (torch.where(torch.arange(40) < 9, -1, FOUR), "2 (8), 3 (8), 9 of 40 labels are missing (-1)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_classes_without_data_and_missing_labels_are_counted(fault):
    labels, told = FAULTS[fault]
    (note,) = notes((REAL, labels))
    assert told in note
    for given in (labels.float(), labels[:, None].numpy()):
        assert notes((REAL, given)) == [note]
    splits = {"train": (REAL[:30], labels[:30]), "test": (REAL[30:], labels[30:])}
    assert notes(splits) == [note]
    assert notes((REAL, labels), limit_train=3) == [note]  # of all data, not of those that are trained on


def test_of_good_labels_nothing_is_said(photos):
    assert notes((REAL, FOUR)) == []
    assert notes((REAL, torch.zeros(40).long())) == []
    assert notes("digits") == []
    for i, path in enumerate(sorted(photos.glob("*.png"))):
        (photos / "cd"[i % 2]).mkdir(exist_ok=True)
        path.rename(photos / "cd"[i % 2] / path.name)
    assert notes(photos) == []


def test_labels_that_a_model_hides_are_not_called_missing(capsys):
    options = {**TINY, "show": True, "labels": 8, "binarize": "threshold"}
    run = pyrovae.fit("ssvae", data=(torch.rand(40, 6), FOUR), **options)
    assert (run.data.columns["train"]["y"] == -1).any()
    assert run.description["notes"] == []
    assert "missing" not in capsys.readouterr().err


def test_notes_are_printed_by_a_fit_once(capsys):
    pyrovae.fit("cvae", data=(torch.rand(40, 6) > 0.5, FOUR + 1), **TINY | {"show": True})
    assert capsys.readouterr().err.count("note: y has 5 classes") == 1


def test_columns_that_do_not_vary_and_those_that_float32_hardly_holds_are_named():
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).double()
    assert notes(x) == []
    x[:, 1] = 7
    x[:, 3] = 1e6 + 0.5 * x[:, 3]
    still, coarse = notes(x)
    assert still == "1 of the 5 columns of x (from 0) do not vary in the training data: 1 (7)"
    assert re.search(
        r"1 of the 5 .* vary by little of their size, of which float32 holds .*: 3 \(1e\+06 \+- 0\.\d+\)", coarse
    )
    assert notes((x > 0).float()) == []  # of bits that are always 0, as the border of an image is, nothing
