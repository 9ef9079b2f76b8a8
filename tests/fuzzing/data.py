"""Data files: whole ones of every kind, damaged ones, and ones that are made to do harm."""

import functools
import gzip
import io
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load

from .case import Case, Pickled, Target
from .damage import damaged

WHOLE = 0.25
"""Share of the cases whose files are whole."""


def read(case: Case) -> None:
    """All of the data, as training and scoring read them."""
    dataset = load(str(case.path), DataConfig(**case.options))
    _read_all(dataset)


def _read_all(dataset: Any) -> None:
    inputs = tuple(dataset.fields)
    for split in ("train", "valid", "test"):
        batch = dataset.split(split, inputs, dataset.size(split))
        assert all(len(tensor) == dataset.size(split) for tensor in batch)


def options(draw: Random, **choices: tuple[Any, ...]) -> dict[str, Any]:
    """Each option with a chance of a tenth; those of all data among them."""
    choices |= {"held_out": (0.1, 0.3, 0.99, 1, 3, 1e9), "limit_train": (1, 5), "data_seed": (1,)}
    return {name: draw.choice(values) for name, values in choices.items() if draw.random() < 0.1}


def hurt(data: bytes, draw: Random, words: tuple[bytes, ...] = ()) -> bytes:
    """Damaged, but for a few that stay whole."""
    return data if draw.random() < WHOLE else damaged(data, draw, words)


# ---- numpy

DTYPES = ("u1", "i1", "?", "<i2", ">i2", "<u4", "<i8", ">u8", "<f2", "<f4", ">f4", "<f8", ">f8", "<c8", "<f16")
ODD_DTYPES = ("O", "S3", "<U4", "V0", "S0", "<M8[s]", "<m8", "V8", "|O8", "<f3", "", "a,b")
SHAPES = (
    (10**12,),
    (2**63,),
    (-1, 5),
    (-5,),
    (2**32, 2**32),
    (0, 10**18),
    (10**9, 0),
    (),
    (True, 3),
    (1.5,),
    (5,) * 40,
)
NPY_WORDS = (
    b"(1000000000000,)",
    b"|O",
    b">f8",
    b"<u1",
    b"True",
    b"'descr'",
    b"fortran_order",
    b"\x93NUMPY",
    b"(",
    b"{",
    b"}",
)


def an_array(draw: Random) -> np.ndarray:
    """Numbers of any dtype, shape and order, most of them good data."""
    rows = draw.choice((0, 1, 3, 10, *[30] * 8))
    shape = (
        rows,
        *draw.choice(((), (1,), (5,), (4, 4), (1, 3, 3), (3, 3, 3), (3, 2, 3), (2, 3, 3), (2, 2, 2, 2), (0,))),
    )
    numbers = np.array([draw.choice((0, 1, 1, 2, 7, 255)) for _ in range(int(np.prod(shape)))]).reshape(shape)
    found = numbers.astype(draw.choice(DTYPES))
    if found.dtype.kind == "f" and found.size and draw.random() < 0.3:
        found.flat[draw.randrange(found.size)] = draw.choice((np.nan, np.inf, -np.inf, -1e4, 0.5))
    return np.asfortranarray(found) if draw.random() < 0.3 else found


def npy_bytes(draw: Random) -> bytes:
    """A .npy file: whole, damaged, with a header that lies, or with a pickle in it."""
    kind = draw.random()
    if kind < 0.6:
        file = io.BytesIO()
        np.lib.format.write_array(file, an_array(draw), version=draw.choice(((1, 0), (2, 0), (3, 0), None)))
        return hurt(file.getvalue(), draw, NPY_WORDS)
    if kind < 0.7:
        return pickle.dumps(Pickled())
    if kind < 0.75:
        file = io.BytesIO()
        np.lib.format.write_array(file, np.array([Pickled()] * 9, object), allow_pickle=True)
        return file.getvalue()
    shape = draw.choice((*SHAPES, (30, 5)))
    header: Any = {"descr": draw.choice((*DTYPES, *ODD_DTYPES)), "fortran_order": draw.random() < 0.3, "shape": shape}
    if draw.random() < 0.1:
        header["descr"] = [("a", "<f4"), ("b", draw.choice(("O", "<i4")))]
    if draw.random() < 0.2:
        header[draw.choice(("descr", "shape", "fortran_order", "more"))] = draw.choice(
            (None, 3, [], {}, "x", (None,), b"<f4")
        )
    text = repr(header).encode() + b"\n"
    if draw.random() < 0.1:
        text = (
            draw.choice(
                # Of thousands of signs Python's parser, which numpy calls, runs out of stack: it may crash there.
                (b"(" * 50, b"-" * 90 + b"1", b"[" * 19 + b"]" * 19, b"{'descr': 10L}", b"'", b"1" * 900)
            )
            + b"\n"
        )
    version = draw.choice((1, 1, 1, 2, 3, 4, 0))
    length = struct.pack("<H" if version == 1 else "<I", draw.choice((len(text), len(text), len(text), 0, 65535)))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + draw.randbytes(draw.choice((0, 10, 600, 5000)))


def make_npy(draw: Random, folder: Path) -> Case:
    """One .npy file."""
    (folder / "a.npy").write_bytes(npy_bytes(draw))
    return Case(folder, "a.npy", options(draw, stream=(True, False), **PIXELS))


PIXELS: dict[str, tuple[Any, ...]] = {
    "binarize": ("dynamic", "static", "threshold", "none"),
    "image_size": (1, 2, 5),
}

NAMES = (
    "x",
    "y",
    "x_train",
    "x_test",
    "y_train",
    "valid",
    "val_x",
    "train",
    "data",
    "labels",
    "",
    "a b",
    "../x",
    "z",
    "x\n",
)
ZIP_WORDS = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\x93NUMPY", b".npy")


def npz_bytes(draw: Random) -> bytes:
    """A .npz file: whole, damaged, with odd members, packed in every way, or a bomb."""
    if draw.random() < 0.01:
        return hurt(npz_bomb(2**28), draw)
    file = io.BytesIO()
    packing = draw.choice((*[zipfile.ZIP_STORED] * 4, *[zipfile.ZIP_DEFLATED] * 4, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", packing) as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice
        x, few = an_array(draw), draw.random()
        if few < 0.6:
            y = np.arange(len(x)) % 3
            members: dict[str, Any] = {
                "x": x,
                "y": draw.choice((y, y, y, y.astype(">i2"), y - 1, y / 2, y[:-1], y * 9999)),
            }
        elif few < 0.85:
            members = {"x_train": x, draw.choice(("x_test", "test", "val", "x_valid")): draw.choice((x[:3], x, x[:0]))}
        else:
            members = {draw.choice(NAMES): an_array(draw) for _ in range(draw.choice((0, 1, 2, 3)))}
        for name, array in members.items():
            inner = io.BytesIO()
            np.lib.format.write_array(inner, array)
            content = inner.getvalue() if draw.random() < 0.9 else npy_bytes(draw)
            archive.writestr(f"{name}.npy", content)
        if draw.random() < 0.1:
            archive.writestr(draw.choice(("x.npy", "notes.txt", "x", "y.npy/", "b.npy")), npy_bytes(draw))
    if draw.random() < 0.4:
        return file.getvalue()
    return hurt(file.getvalue(), draw, (*ZIP_WORDS, *NPY_WORDS))


def make_npz(draw: Random, folder: Path) -> Case:
    """One .npz file; one in ten is another file under that name."""
    (folder / "a.npz").write_bytes(npz_bytes(draw) if draw.random() < 0.9 else npy_bytes(draw))
    return Case(folder, "a.npz", options(draw, stream=(False,), **PIXELS))


# ---- packed files


@functools.cache
def bomb(size: int) -> bytes:
    """A .gz of so many zeros."""
    return gzip.compress(bytes(size), 1, mtime=0)


@functools.cache
def npz_bomb(size: int) -> bytes:
    """A .npz of so many zeros."""
    file = io.BytesIO()
    np.savez_compressed(file, x=np.zeros((1, size), np.uint8))
    return file.getvalue()


def packed(data: bytes, draw: Random) -> bytes:
    """As a .gz, whole or damaged; one in a hundred is a bomb."""
    if draw.random() < 0.01:
        return bomb(draw.choice((2**24, 2**29)))
    found = gzip.compress(data, 1, mtime=0)
    return hurt(found, draw) if draw.random() < 0.5 else found


def make_idx(draw: Random, folder: Path) -> Case:
    """The four files of MNIST, of which one or two are damaged."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for stem, rows in (("train", 20), ("t10k", 5)):
        rows = 1 if draw.random() < 0.04 else rows
        side = draw.choice((0, 5)) if draw.random() < 0.04 else 4
        for part, shape, top in (
            ("images-idx3", (rows, side, side), 255),
            ("labels-idx1", (rows,), 255 if draw.random() < 0.05 else 9),
        ):
            size = int(np.prod(shape))
            data = struct.pack(f">BBBB{len(shape)}i", 0, 0, 8, len(shape), *shape)
            data += bytes(draw.randrange(top + 1) for _ in range(size))
            if draw.random() < 0.2:
                data = damaged(data, draw, (b"\0\0\x08\x03", b"\0\0\x0d\x03", b"\0\0\x08\xff"))
            gz = draw.random() < 0.3
            path = raw / f"{stem}-{part}-ubyte{'.gz' if gz else ''}"
            path.write_bytes(packed(data, draw) if gz else data)
    return Case(folder, "MNIST", options(draw, **PIXELS))


def read_idx(case: Case) -> None:
    """`--data mnist --data-root FOLDER`."""
    _read_all(load("mnist", DataConfig(data_root=case.folder, **case.options)))


AMAT_WORDS = (
    b"nan",
    b"inf",
    b"1e999",
    b"-",
    b"+",
    b"1_0",
    b"0x1",
    b"#",
    b",",
    b"\t",
    b"\x0b",
    b"1 0",
    b"\xc2\xa0",
    b"\r",
    b"2",
)


def make_amat(draw: Random, folder: Path) -> Case:
    """A .amat file of bits or numbers, or the three files of the static MNIST."""
    names = ["a.amat"]
    if draw.random() < 0.1:
        names = [f"d/binarized_mnist_{split}.amat" for split in ("train", "valid", "test")]
    for name in names:
        width = draw.choice((1, 3, 3, 784, 785)) if draw.random() < 0.3 else 3
        digits = draw.choice((("0", "1"), ("0", "1"), ("0", "1", "0.5", "-2", "1e3")))
        gap, end = draw.choice((" ", " ", "  ", "\t")), draw.choice(("\n", "\n", " \n", "\r\n", "\r"))
        rows = draw.choice((0, 1, 3, 12, 20))
        lines = (gap.join(draw.choice(digits) for _ in range(width)) for _ in range(rows))
        data = hurt("".join(line + end for line in lines).encode(), draw, AMAT_WORDS)
        if len(names) == 1 and draw.random() < 0.3:
            name = names[0] = "a.amat.gz"
            data = packed(data, draw)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return Case(folder, names[0] if len(names) == 1 else "d", options(draw, **PIXELS))


# ---- text

WORDS = (
    "the",
    "cat",
    "sat",
    "don't",
    "œuvre",
    "日本語",
    "<eos>",
    "<unk>",
    '"',
    ".",
    ",",
    "\u2028",
    "\u0301",
    "\x0c",
    "a" * 300,
)
TEXT_WORDS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3", b"\0", b"\r", b"\r\n\r\n", b"\xe2\x80\xa8", b"\t")
TEXT: dict[str, tuple[Any, ...]] = {
    "vocab": ("word", "subword", "char"),
    "vocab_size": (5, 8, 260, 300),
    "min_count": (2, 10**9),
    "max_length": (2, 5, 100_000),
}


def text_bytes(draw: Random) -> bytes:
    """Sentences in UTF-8, some of them odd."""
    rows = draw.choice((0, 1, 3, 12, 12, 30))
    end, words = draw.choice(("\n", "\n", "\r\n", "\r")), WORDS[: draw.choice((4, len(WORDS)))]
    lines = [" ".join(draw.choice(words) for _ in range(draw.randrange(9))) for _ in range(rows)]
    if draw.random() < 0.03:
        lines.append(
            draw.choice(("a", "a ", "'", ".", "a-", "\u0301", "é")) * 5000
        )  # of 100,000 tokenizers finds no end
    data = end.join(lines).encode(draw.choice(("utf-8",) * 5 + ("utf-8-sig", "utf-16", "latin-1")), "replace")
    return hurt(data, draw, TEXT_WORDS)


def make_text(draw: Random, folder: Path) -> Case:
    """A text file, or a folder of three."""
    names = [draw.choice(("a.txt", "a.txt.gz"))]
    if draw.random() < 0.4:
        splits = draw.choice(
            (("train", "valid", "test"), ("train", "val"), ("train", "valid", "validation"), ("valid", "test"))
        )
        names = [f"d/{draw.choice(('', 'ptb.'))}{split}.txt{draw.choice(('', '', '.gz'))}" for split in splits]
    for name in names:
        data = text_bytes(draw)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(packed(data, draw) if name.endswith(".gz") else data)
    return Case(folder, names[0].partition("/")[0], options(draw, **TEXT))


# ---- images

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".webp": "WEBP", ".ppm": "PPM"}
MODES = ("L", "L", "RGB", "RGBA", "P", "1", "LA", "I;16", "I", "F", "CMYK")
IMAGE_WORDS = (
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"\x89PNG",
    b"\xff\xd8",
    b"\xff\xda",
    b"GIF89a",
    b"BM",
    b"P6\n99999999 1\n255\n",
    b"II*\0",
)


def image_bytes(draw: Random, suffix: str) -> bytes:
    """An image of 4x4 or nearly, in any mode and format; or damaged."""
    size = draw.choice(((5, 4), (1, 1), (300, 2))) if draw.random() < 0.02 else (4, 4)
    mode = draw.choice(MODES) if draw.random() < 0.1 else draw.choice(("L", "RGB"))
    image = Image.effect_noise(size, 50).convert(mode) if mode != "I;16" else Image.new("I;16", size)
    file = io.BytesIO()
    try:
        image.save(file, FORMATS[suffix])
    except (OSError, KeyError, ValueError):  # a mode that the format does not have
        image.convert("L").save(file, FORMATS[suffix])
    return damaged(file.getvalue(), draw, IMAGE_WORDS) if draw.random() < 0.08 else file.getvalue()


def huge_png(draw: Random) -> bytes:
    """A header that announces more pixels than there are."""
    side = draw.choice((9000, 20_000, 2**31 - 1, 0))
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, draw.choice((1, 8)), 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(20)


def make_images(draw: Random, folder: Path) -> Case:
    """A folder of images: flat, in class folders, in splits; and things that are no images among them."""
    layout = draw.choice(
        (
            (".",),
            (".",),
            ("a", "b"),
            ("train", "test"),
            ("train", "val"),
            ("train/a", "train/b", "test/a"),
        )
    )
    if draw.random() < 0.03:
        layout = draw.choice((("train", "val", "validation"), ("valid", "test"), ("train", "a"), ("train/a", "test")))
    suffixes = [draw.choice(tuple(FORMATS))] if draw.random() < 0.7 else list(FORMATS)
    for inside in layout:
        place = folder / "d" / inside
        place.mkdir(parents=True)
        for i in range(draw.choice((1, 4, 6, 6))):
            suffix = draw.choice(suffixes)
            (place / f"{i}{suffix}").write_bytes(image_bytes(draw, suffix))
        odd = draw.random()
        if odd < 0.03:
            os.mkfifo(place / "f.png")
        elif odd < 0.05:
            (place / "e.png").mkdir()
        elif odd < 0.07:
            (place / "l.png").symlink_to(draw.choice(("l.png", "nowhere", "..", "0.png", "/dev/zero")))
        elif odd < 0.1:
            (place / "h.png").write_bytes(huge_png(draw))
        elif odd < 0.12:
            (place / "p.png").write_bytes(pickle.dumps(Pickled()))
        elif odd < 0.14:
            (place / "notes.txt").write_bytes(b"x")
    return Case(folder, "d", options(draw, stream=(True, False), **PIXELS))


TARGETS_OF: dict[str, tuple[Callable[[Random, Path], Case], Callable[[Case], None]]] = {
    "idx": (make_idx, read_idx),
    "npy": (make_npy, read),
    "npz": (make_npz, read),
    "amat": (make_amat, read),
    "text": (make_text, read),
    "images": (make_images, read),
}
DATA = tuple(Target(name, make, load) for name, (make, load) in TARGETS_OF.items())
