"""What once went wrong with a damaged file, and some hundred new ones; `python -m tests.fuzzing` tries any number."""

import gzip
import io
import struct
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest

import fuzzing
from fuzzing.case import MARKER, Case, Pickled, Target, kept
from fuzzing.damage import damaged
from fuzzing.judge import FREE, Fault, outcome
from pyrovae import PyrovaeError
from pyrovae.data import DataConfig, limits, vocabulary
from pyrovae.data.catalogue import load

CRASHES = sorted(path.parent for path in (Path(__file__).parents[1] / "crashes").glob("*/case.json"))
DATA = [name for name in fuzzing.TARGETS if name != "run"]


@pytest.mark.parametrize("stored", CRASHES, ids=lambda path: path.name)
def test_what_once_went_wrong(stored, tmp_path):
    target, case = kept(stored, tmp_path / "case")
    outcome(fuzzing.TARGETS[target], case)


@pytest.mark.parametrize("name", DATA)
def test_cases_of_every_target(name, tmp_path):
    target, counts = fuzzing.TARGETS[name], {"loaded": 0, "refused": 0}
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        counts[outcome(target, target.make(Random(f"{name} {number}"), folder))] += 1
    assert min(counts.values()) > 1  # a target that is never loaded, or never refused, tries nothing


def test_the_judge_finds_every_kind_of_fault(tmp_path):
    def tried(load, **how):
        return outcome(Target("x", lambda draw, folder: Case(folder, "a.npy"), load, **how), Case(tmp_path, "a.npy"))

    def refuse(sentence):
        def load(case):
            raise PyrovaeError(sentence)

        return load

    assert tried(lambda case: None) == "loaded"
    assert tried(refuse("a.npy is damaged")) == "refused"
    assert tried(refuse("damaged"), names_files=False) == "refused"
    for wrong, says in (
        (lambda case: 1 / 0, "ZeroDivisionError"),
        (refuse("damaged"), "names neither"),
        (refuse("a.npy\nis damaged"), "not one sentence"),
        (lambda case: np.ones(2**31, np.uint8), "MemoryError"),
        (lambda case: np.float32(1) / np.float32(0), "RuntimeWarning"),
        (lambda case: Pickled().__reduce__()[0](*Pickled().__reduce__()[1]).close(), "a pickle was loaded"),
    ):
        with pytest.raises(Fault, match=says):
            tried(wrong)
    assert (tmp_path / MARKER).exists()


def test_a_case_is_kept_and_read_again(tmp_path):
    (tmp_path / "a" / "d").mkdir(parents=True)
    (tmp_path / "a" / "d" / "x.npy").write_bytes(b"x")
    Case(tmp_path / "a", "d/x.npy", {"stream": True}).keep(tmp_path / "kept", "npy", "why")
    target, case = kept(tmp_path / "kept", tmp_path / "b")
    assert (target, case.path.read_bytes(), case.options) == ("npy", b"x", {"stream": True})


def test_the_same_numbers_make_the_same_damage():
    data = bytes(range(256)) * 4
    assert damaged(data, Random("a")) == damaged(data, Random("a")) != damaged(data, Random("b"))


def gz(content):
    return gzip.compress(content, 1)


def member(header, size):
    """A .npz of one member that announces `size` zeros, and has them."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w") as inner,
    ):
        np.lib.format.write_array_header_1_0(inner, header)
        inner.write(bytes(size))
    return file.getvalue()


ROW = {"descr": "|u1", "fortran_order": False, "shape": (4, 2**22)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npz", lambda: member(ROW, 2**24)),
        ("a.txt.gz", lambda: gz(b"a" * 2**24)),
        ("a.amat.gz", lambda: gz(b"0 " * 2**23)),
        ("a.npy", lambda: member(ROW, 0)[:0] + b"\x93NUMPY\x01\0" + struct.pack("<H", 0)),
        ("a.txt", lambda: b"a\n" * 2**23),
        ("a.npy", lambda: np.lib.format.magic(1, 0) + bytes(2**24)),
        ("a.txt", lambda: b"the cat\n" * 20 + b"a" * 50_000),
    ],
    ids=["npz", "txt.gz", "amat.gz", "no-header", "txt", "zeros", "line"],
)
def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch, name, content):
    (tmp_path / name).write_bytes(content())
    monkeypatch.setattr(limits, "free_memory", lambda: 2**20)
    with pytest.raises(PyrovaeError, match=rf"{name}.*(takes 0.0\d GiB and 0.00 GiB of memory are free|damaged)"):
        load(tmp_path / name)


def test_a_line_without_an_end_is_not_padded_to(tmp_path, monkeypatch):
    (tmp_path / "train.txt").write_text("the cat\n" * 20)
    (tmp_path / "test.txt").write_text("the cat\n" * 2000 + "the " * 1000)
    assert load(tmp_path).size("test") == 2001
    monkeypatch.setattr(limits, "free_memory", lambda: 2**23)
    with pytest.raises(PyrovaeError, match=r"test, where the longest sentence has 1,001 tokens, takes 0.01 GiB"):
        load(tmp_path)


def test_images_that_fill_the_memory_are_refused(tmp_path, monkeypatch):
    from PIL import Image

    for i in range(12):
        Image.new("L", (300, 300)).save(tmp_path / f"{i}.png")
    load(tmp_path, DataConfig(stream=False))
    monkeypatch.setattr(limits, "free_memory", lambda: 2 * 12 * 300 * 300 - 1)
    with pytest.raises(PyrovaeError, match=r"takes 0\.00 GiB"):
        load(tmp_path, DataConfig(stream=False))
    assert FREE > 2**20


def test_a_postscript_file_runs_nothing(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(PyrovaeError, match=r"a\.png is no image that can be read"):
        load(tmp_path)


def test_whole_numbers_that_no_int64_holds_do_not_turn_negative(tmp_path):
    np.save(tmp_path / "a.npy", np.full((9, 3), 2**63, np.uint64))
    with pytest.raises(PyrovaeError, match=r"holds whole numbers of 2\*\*63 or more"):
        load(tmp_path / "a.npy")


def test_a_word_without_an_end_is_trained_on_in_pieces():
    """Of words of 50,000 letters tokenizers' trainer finds no end: each merge goes through all of the word."""
    draw = Random(0)
    word = "".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(2500))
    pieces = list(vocabulary._bearable(["the cat", f"a {word}"]))
    assert max(map(len, pieces)) == 1000
    assert "".join(pieces) == f"the cata {word}"


def test_the_trainer_gets_bearable_words_alone(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("\n".join(["the cat"] * 20 + ["ab" * 1250]))
    seen, bearable = [], vocabulary._bearable

    def watched(sentences):
        for sentence in bearable(sentences):
            seen.append(sentence)
            yield sentence

    monkeypatch.setattr(vocabulary, "_bearable", watched)
    assert outcome(fuzzing.TARGETS["text"], Case(tmp_path, "a.txt", {"vocab": "subword"})) == "loaded"
    assert max(map(len, seen)) <= 1000


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("maximum recursion depth exceeded")], ids=["memory", "depth"]
)
def test_a_header_on_which_the_parser_gives_up_is_told(tmp_path, monkeypatch, error):
    def deep(file):
        raise error

    np.save(tmp_path / "a.npy", np.zeros((9, 3)))
    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", deep)
    with pytest.raises(PyrovaeError, match=r"a\.npy is no array file of numpy, or damaged"):
        load(tmp_path / "a.npy")
