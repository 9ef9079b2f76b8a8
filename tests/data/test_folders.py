"""A folder of images is looked through as far as it holds images, and no whole disk."""

import os

import pytest
from PIL import Image

from pyrovae import PyrovaeError, UsageError
from pyrovae.data.catalogue import load
from pyrovae.data.readers import folder, paths


@pytest.fixture
def mixed(tmp_path):
    """Two classes of 12 images, with 30 other files beside each."""
    for name in ("a", "b"):
        (tmp_path / name / "inner").mkdir(parents=True)
        for i in range(12):
            Image.new("L", (4, 4), i).save(tmp_path / name / "inner" / f"{i}.png")
        for i in range(30):
            (tmp_path / name / f"{i}.txt").touch()
    return tmp_path


def test_a_folder_that_holds_mostly_other_things_is_not_looked_through(mixed, monkeypatch):
    walked, walk = [], os.walk

    def counted(top):
        for each in walk(top):
            walked.append(each[0])
            yield each

    monkeypatch.setattr(folder.os, "walk", counted)
    monkeypatch.setattr(folder, "LOOKED", 29)
    with pytest.raises(PyrovaeError, match=r"holds many other things, of 31 files and folders .* 0 are images: give"):
        load(mixed)
    assert walked == [str(mixed / "a")]


def test_other_things_beside_images_are_looked_over(mixed, monkeypatch):
    monkeypatch.setattr(folder, "LOOKED", 31)
    assert load(mixed).named_fields()["y"].names == ("a", "b")
    files, classes = folder._list(mixed)
    assert files == sorted(files)
    assert (len(files), classes) == (24, ["a"] * 12 + ["b"] * 12)


def test_the_root_of_all_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "read_images", lambda *args: pytest.fail("it is walked"))
    (tmp_path / "all").symlink_to("/")
    for path in ("/", "//", "/tmp/..", tmp_path / "all"):
        with pytest.raises(UsageError, match="is the root of all files: give the folder that holds the data"):
            load(path)
