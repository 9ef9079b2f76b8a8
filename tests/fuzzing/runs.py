"""Run directories: copies of two tiny runs in which files are changed, swapped, lost, or are no files at all."""

import functools
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import pyrovae

from .case import Case, Pickled, Target
from .damage import damaged

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 2**31, 2**63, 10**30, 0.5, -1.5, float("nan"), float("inf"), "", "x", "vae", "cvae",
    "diagonal", "iaf:steps=2", "\0", "\ud800", "a.py:B", "os:path", "../..", "/dev/zero", [], [1], [[]], ["x"], {},
    {"a": 1}, "9" * 400,
)  # fmt: skip
WORDS = (
    b"null",
    b"true",
    b'"',
    b"{",
    b"}",
    b"[",
    b":",
    b",",
    b'"x"',
    b"1e400",
    b"NaN",
    b"F32",
    b"F64",
    b"__metadata__",
)


@functools.cache
def originals() -> Path:
    """A run on vectors and one on text, with their data beside them; made once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="pyrovae-runs-"))
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32))
    (folder / "s.txt").write_text("the cat sat .\na dog ran .\nthe dog sat .\n" * 8)
    tiny: dict[str, Any] = {"epochs": 1, "latent_dim": 2, "score_samples": 2, "device": "cpu", "show": False}
    before = os.getcwd()
    os.chdir(folder)
    try:
        pyrovae.fit("vae", data="x.npy", hidden=(4,), out="vector", **tiny)
        pyrovae.fit("textvae", data="s.txt", hidden=4, embedding=3, out="text", **tiny)
    finally:
        os.chdir(before)
    for run in ("vector", "text"):
        for picture in (folder / run).glob("*.png"):
            picture.unlink()
    return folder


def make(draw: Random, folder: Path) -> Case:
    """A copy of a run with one to three changes."""
    name = draw.choice(("vector", "vector", "text"))
    for item in (name, "x.npy", "s.txt"):
        source = originals() / item
        shutil.copytree(source, folder / "run") if source.is_dir() else shutil.copy(source, folder / item)
    for _ in range(draw.choice((0, 1, 1, 1, 1, 2, 3))):
        files = [path for path in sorted((folder / "run").rglob("*")) if path.is_file() and not path.is_symlink()]
        if files:
            draw.choice(CHANGES)(draw.choice(files), draw)
    return Case(folder, "run", {"score": draw.random() < 0.5})


def _json(path: Path, draw: Random) -> None:
    """A value of run.json (or of another file of JSON) becomes another one, or its key is lost."""
    if path.suffix != ".json" or draw.random() < 0.5:
        path = (path.parent.parent if path.parent.name == "state" else path.parent) / "run.json"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    inner, places = content, []
    while isinstance(inner, dict | list) and inner:
        key = draw.choice(list(inner)) if isinstance(inner, dict) else draw.randrange(len(inner))
        places.append((inner, key))
        inner = inner[key]
    if not places:
        return
    inner, key = draw.choice(places)
    if draw.random() < 0.25:
        del inner[key]
    elif draw.random() < 0.1 and isinstance(inner, dict):
        inner[f"{key}_"] = inner.pop(key)
    else:
        inner[key] = draw.choice(VALUES)
    path.write_text(json.dumps(content))


def _bytes(path: Path, draw: Random) -> None:
    path.write_bytes(damaged(path.read_bytes(), draw, WORDS))


def _lose(path: Path, draw: Random) -> None:
    path.unlink()


def _swap(path: Path, draw: Random) -> None:
    others = [other for other in path.parent.iterdir() if other.is_file() and other != path]
    if others:
        shutil.copy(draw.choice(others), path)


def _other_run(path: Path, draw: Random) -> None:
    """The file of the same name of another run."""
    other = originals() / draw.choice(("vector", "text")) / path.name
    if other.is_file():
        shutil.copy(other, path)


def _no_file(path: Path, draw: Random) -> None:
    path.unlink()
    kind = draw.randrange(4)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(draw.choice((path.name, "nowhere", "..", "/dev/zero", "/dev/null", "run.json")))
    else:
        path.write_bytes(pickle.dumps(Pickled()))


Change = Callable[[Path, Random], None]
CHANGES: tuple[Change, ...] = (_json, _json, _json, _json, _bytes, _bytes, _lose, _swap, _other_run, _no_file)


def load(case: Case) -> None:
    """`pyrovae.load`, its data, and a log-likelihood."""
    run = pyrovae.load(case.path, device="cpu")
    if case.options["score"]:
        run.log_likelihood(2, limit=2)


RUN = Target("run", make, load, names_files=False)
