"""Run directories: copies of tiny runs in which files are changed, swapped, lost, or are no files at all; in half of
them sizes and checksums are made right again, so that the damage reaches the schema and the readers."""

import atexit
import contextlib
import functools
import hashlib
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import torch
from click.testing import CliRunner

import pyrovae
from pyrovae import svi
from pyrovae.cli import cli
from pyrovae.errors import PyrovaeError
from pyrovae.runs import pictures, schema, tensors
from pyrovae.training import fit as fitting

from .case import Case, Pickled, Target
from .damage import damaged

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 2**31, 2**53 - 1, 2**63, 10**30, 0.5, -1.5, 1e300, 1e-320, float("nan"),
    float("inf"), "", "x", "vae", "cvae", "diagonal", "iaf:steps=2", "planar:steps=1", "0", "auto", "cuda", "\0",
    "\ud800", "a\nb", "\x1b[2J", "a.py:B", "os:path", "../..", "/dev/zero", "done", "training", "trained", [], [1],
    [2, 3], [[]], ["x"], {}, {"a": 1}, {"\n": {}}, "9" * 400,
)  # fmt: skip
MODEST = tuple(999 if type(value) is int and value > 999 else value for value in VALUES)
"""For a vocabulary: by the numbers of its words the tokenizers library takes memory, and ends the process where there
is none. They would reach it if we did not look at them first."""
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

RUNS = ("vector", "vector", "stopped", "stopped", "text", "text-stopped")

STEPS = 20
"""Of a fit that is resumed, at most: a recipe may ask for any number."""

SAMPLES = 1000
"""Of its scores, at most."""


class Stopped(BaseException):
    """Stands for the end of the process."""


@contextlib.contextmanager
def _until(steps: int, samples: int = SAMPLES) -> Any:
    """A fit ends without a word before so many steps, or before it draws too many samples; it draws no pictures."""
    step, scores, count = svi.Step.__call__, fitting.scores, iter(range(steps))

    def until(*given: Any) -> Any:
        if next(count, None) is None:
            raise Stopped
        return step(*given)

    def few(run: Any, config: Any, shown: Any) -> Any:
        if config.score_samples > samples:
            raise Stopped
        return scores(run, config, shown)

    with (
        mock.patch.object(svi.Step, "__call__", until),
        mock.patch.object(fitting, "scores", few),
        mock.patch.object(pictures, "pictures", return_value=[]),  # they take longer than these fits
        contextlib.suppress(Stopped),
    ):
        yield


@functools.cache
def originals() -> Path:
    """Runs on vectors and on text, finished and stopped, with their data beside them; made once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="pyrovae-runs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32))
    (folder / "s.txt").write_text("the cat sat .\na dog ran .\nthe dog sat .\n" * 8)
    tiny: dict[str, Any] = {
        "epochs": 2, "batch_size": 8, "latent_dim": 2, "score_samples": 2, "device": "cpu", "show": False,
        "checkpoint_every": "1",
    }  # fmt: skip
    with contextlib.chdir(folder):
        for steps, end in ((10**6, ""), (4, "-stopped")):
            with _until(steps):
                pyrovae.fit("vae", data="x.npy", hidden=(4,), out=f"vector{end}", **tiny)
            with _until(steps):
                pyrovae.fit("textvae", data="s.txt", hidden=4, embedding=3, out=f"text{end}", **tiny)
    (folder / "vector-stopped").rename(folder / "stopped")
    return folder


def make(draw: Random, folder: Path) -> Case:
    """A copy of a run with up to three changes."""
    name = draw.choice(RUNS)
    for item in (name, "x.npy", "s.txt"):
        source = originals() / item
        shutil.copytree(source, folder / "run") if source.is_dir() else shutil.copy(source, folder / item)
    if draw.random() < 0.05:
        _older(folder / "run")
    for _ in range(draw.choice((0, 1, 1, 1, 1, 1, 2, 3))):
        files = [path for path in sorted((folder / "run").rglob("*")) if path.is_file() and not path.is_symlink()]
        if files:
            draw.choice(CHANGES)(draw.choice(files), draw)
    if draw.random() < 0.5:
        _reseal(folder / "run")
    return Case(folder, "run", {"resume": "stopped" in name and draw.random() < 0.5})


def _older(run: Path) -> None:
    """As the first format had it: without status, progress, files and checksums."""
    content = json.loads((run / "run.json").read_text())
    for key in ("status", "progress", "files", "checksum"):
        del content[key]
    (run / "run.json").write_text(json.dumps(content | {"format": schema.OLDEST}))


def _text(path: Path) -> str:
    """Of a file, which an earlier change may have made a pipe, or a link to a device: reading these has no end."""
    if not path.is_file() or path.stat().st_size > 2**24:
        raise FileNotFoundError(path)
    return path.read_text()


def _reseal(run: Path) -> None:
    """Sizes and checksums as the files are now: as someone would who means harm."""
    try:
        content = json.loads(_text(run / "run.json"))
        sealed = "checksum" in content
        for entry in content.get("files", {}).values():
            path = run / entry["path"]
            if path.is_file() and path.stat().st_size < 2**24:
                data = path.read_bytes()
                entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return
    (run / "run.json").write_text(json.dumps(schema.sealed(content) if sealed else content))


def _json(path: Path, draw: Random) -> None:
    """A value of run.json (or of another file of JSON) becomes another one, or its key is lost."""
    if path.suffix != ".json" or draw.random() < 0.5:
        path = (path.parent.parent if path.parent.name == "state" else path.parent) / "run.json"
    with contextlib.suppress(OSError, ValueError):
        values = MODEST if path.name.startswith("vocabulary") else VALUES
        path.write_text(json.dumps(_changed(json.loads(_text(path)), draw, values)))


def _changed(content: Any, draw: Random, values: tuple[Any, ...] = VALUES) -> Any:
    """A JSON value after one change somewhere in it."""
    inner, places = content, []
    while isinstance(inner, dict | list) and inner:
        key = draw.choice(list(inner)) if isinstance(inner, dict) else draw.randrange(len(inner))
        places.append((inner, key))
        inner = inner[key]
    if not places:
        return content
    inner, key = draw.choice(places)
    if draw.random() < 0.25:
        del inner[key]
    elif draw.random() < 0.1 and isinstance(inner, dict):
        inner[f"{key}_"] = inner.pop(key)
    else:
        inner[key] = draw.choice(values)
    return content


def _line(path: Path, draw: Random) -> None:
    """One line of metrics.jsonl."""
    path = (path.parent.parent if path.parent.name == "state" else path.parent) / "metrics.jsonl"
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = _text(path).splitlines()
        at = draw.randrange(len(lines) + 1)
        lines[at : at + 1] = [json.dumps(_changed(json.loads(lines[at]), draw))] * draw.choice((1, 1, 1, 2, 9))
        path.write_text("".join(f"{line}\n" for line in lines))


def _tensor(path: Path, draw: Random) -> None:
    """A tensor of weights or of a checkpoint is another one, goes, or has another name."""
    run = path.parent.parent if path.parent.name == "state" else path.parent
    files = sorted(run.rglob("*.safetensors"))
    if not files or not (path := draw.choice(files)).is_file() or path.is_symlink():
        return
    try:
        state = tensors.tensors_of(path.read_bytes(), "it")
    except PyrovaeError:
        return
    if not state:
        return
    name = draw.choice(sorted(state))
    value = state[name]
    match draw.randrange(7):
        case 0:
            del state[name]
        case 1:
            state[draw.choice((f"{name}_", name.partition("/")[2], "", "a/b", "weights/", "generators/cuda"))] = value
        case 2:
            state[name] = value.to(draw.choice(tuple(tensors.DTYPES.values())))
        case 3:
            state[name] = draw.choice((value.flatten()[:-1], value[None], value.flatten()[:0], value.flatten()))
        case 4:
            state[name] = state[draw.choice(sorted(state))]
        case _:
            number = draw.choice((float("nan"), float("inf"), -1e30, 1e30, -1, 0, 1, 2**40, 1e-40))
            flat = value.flatten().clone()
            with contextlib.suppress(RuntimeError, ValueError, IndexError, OverflowError):
                if draw.random() < 0.5:
                    flat[draw.randrange(len(flat))] = number
                else:
                    flat[:] = number
            state[name] = flat.reshape(value.shape)
    path.write_bytes(tensors.to_bytes(state))


def _bytes(path: Path, draw: Random) -> None:
    path.write_bytes(damaged(path.read_bytes(), draw, WORDS))


def _lose(path: Path, draw: Random) -> None:
    path.unlink()


def _swap(path: Path, draw: Random) -> None:
    others = [other for other in path.parent.iterdir() if other.is_file() and other != path]
    if others:
        shutil.copy(draw.choice(sorted(others)), path)


def _other_run(path: Path, draw: Random) -> None:
    """The file of the same name of another run."""
    other = originals() / draw.choice(RUNS) / path.parent.name.replace("run", "") / path.name
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
CHANGES: tuple[Change, ...] = (
    *(_json,) * 8,
    *(_tensor,) * 4,
    *(_bytes,) * 3,
    *(_line,) * 2,
    _lose,
    _swap,
    _other_run,
    _no_file,
)


def load(case: Case) -> None:
    """`pyrovae inspect`, `pyrovae.load` and a log-likelihood, and a share of the stopped fits goes on; raises a refusal
    after all were tried."""
    _inspect(case)
    refusals: list[PyrovaeError] = []
    with torch.random.fork_rng(devices=[]):
        for verb in (_score, _resume) if case.options["resume"] else (_score,):
            try:
                verb(case)
            except PyrovaeError as error:
                refusals.append(error)
    if refusals:
        raise max(refusals, key=lambda error: len(str(error).splitlines()))  # one of several lines is a fault


def _score(case: Case) -> None:
    pyrovae.load(case.path, device="cpu").log_likelihood(2, limit=2)


def _resume(case: Case) -> None:
    with _until(STEPS):
        pyrovae.fit(resume=case.path, show=False)


def _inspect(case: Case) -> None:
    """`pyrovae inspect`, which tells what is wrong in one line, whatever it is."""
    for more in ((), ("--json",)):
        found = CliRunner().invoke(cli, ["inspect", str(case.path), *more], prog_name="pyrovae")
        if found.exit_code not in (0, 1, 2) or "--debug to see where" in found.stderr:
            raise AssertionError(f"inspect ended with {found.exit_code}: {found.stderr}") from found.exception
        assert (found.exit_code == 0) == (not found.stderr), found.stderr
        assert found.stderr.count("\n") <= 1 or found.exit_code == 2, found.stderr
        if more and found.stdout:
            json.loads(found.stdout)


RUN = Target("run", make, load, names_files=False)
