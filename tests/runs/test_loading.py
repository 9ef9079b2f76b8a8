"""Loading runs nothing of a run directory, and every damage of it is told by name."""

import json
import os
import random
import re
import shutil
import socket
import struct
import sys
import threading
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import safetensors.torch
import torch
from damage import EVIL, edited, evil, replaced
from flips import flip, places, same, state
from test_run import OWN, QUICK
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError, registry
from pyrovae.runs import directory, schema
from pyrovae.runs import tensors as store
from pyrovae.runs.checkpoint import Checkpoint
from pyrovae.runs.commit import commit
from pyrovae.storage import headers, reading
from pyrovae.storage.jsonable import strict

SENTENCES = "the cat sat . \n a dog ran off \n the dog sat \n a cat \n the mat ran . \n cat and dog \n".splitlines() * 5


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on text and one on vectors, each with a checkpoint."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "words.txt").write_text("\n".join(SENTENCES))
    small = {"hidden": 4, "latent_dim": 2}
    pyrovae.fit("textvae", data=folder / "words.txt", out=folder / "text", **small, **QUICK)
    x = torch.randn(60, 3)
    pyrovae.fit("vae", data=x, out=folder / "vae", hidden=(4,), latent_dim=2, **QUICK)
    return folder


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made / "vae", tmp_path / "run"))


@pytest.fixture
def text(made, tmp_path):
    return Path(shutil.copytree(made / "text", tmp_path / "run"))


def load(folder, **given):
    return pyrovae.load(folder, device="cpu", **given)


def resume_from(folder):
    return Checkpoint.read(folder, directory.content(folder))


def refused(call, says, *args, error=PyrovaeError, **given):
    """The sentence; `says` is a part of it, and it names a file."""
    with pytest.raises(error, match=says) as told:
        call(*args, **given)
    assert "\n" not in str(told.value)
    return str(told.value)


# What is never run


@pytest.mark.parametrize("role", ["weights", "metrics", "vocabulary", "checkpoint", "run.json"])
def test_a_pickle_under_any_name_is_never_opened(text, tmp_path, role):
    """Whether the checksum in run.json is that of the file before, or of the pickle."""
    marker, path, before = tmp_path / "marker", text / directory.PATHS.get(role, role), (text / "run.json").read_bytes()
    for kind in EVIL:
        data = evil(kind, marker)
        for sealed in (False, True) if role != "run.json" else (False,):
            if sealed:
                replaced(text, role, data)
            else:
                path.write_bytes(data)
            told = refused(resume_from if role == "checkpoint" else load, re.escape(path.name), text)
            if (sealed or role == "run.json") and kind not in ("pickle 0", "pickle 1"):  # which begin as any text does
                assert "never opened" in told
            assert not marker.exists()
            (text / "run.json").write_bytes(before)


def test_the_pickles_of_these_tests_would_have_run(tmp_path):
    import io
    import pickle

    import numpy as np

    for kind in EVIL:
        marker, data = tmp_path / kind, None
        data = io.BytesIO(evil(kind, marker))
        if kind == "npz":
            np.load(data, allow_pickle=True)["x"]
        elif kind == "npy":
            np.load(data, allow_pickle=True)
        elif "torch" in kind:
            torch.load(data, weights_only=False)
        else:
            pickle.load(data)
        assert marker.exists()


EVIL_CODE = """
import os
os.makedirs({marker!r}, exist_ok=True)
class G:
    def __init__(self, context, features): pass
"""


@pytest.fixture
def evil_code(tmp_path, monkeypatch):
    """Code beside the run and on the path, which leaves a marker where it is imported."""
    marker = tmp_path / "marker"
    (tmp_path / "evil_package").mkdir()
    for name in ("evil", "evil_package/__init__", "evil_package/inner"):
        (tmp_path / f"{name}.py").write_text(EVIL_CODE.format(marker=str(marker)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield marker
    for name in [name for name in sys.modules if name.startswith("evil")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "spec", ["evil.py:G", "{}/evil.py:G", "evil:G", "evil_package:G", "evil_package.inner:G", "os:system"]
)
@pytest.mark.parametrize("part", ["model", "guide", "guide of a site", "guide with options"])
def test_code_that_a_run_names_needs_trust(run, tmp_path, evil_code, spec, part):
    spec = spec.format(tmp_path)
    value = {"guide of a site": f"z={spec}", "guide with options": f"{spec}:steps=4"}.get(part, spec)
    edited(run, lambda content: content["recipe"].update({part.split()[0]: value}))
    refused(load, r"your own code, .*: it is only run with trust=True", run, error=UsageError)
    with pytest.raises(UsageError):
        pyrovae.fit(resume=run, show=False)
    assert not evil_code.exists()
    with pytest.raises((PyrovaeError, TypeError)):
        load(run, trust=True)
    assert evil_code.exists() or spec == "os:system"


@pytest.mark.parametrize(
    "spec", ["evil.py", "evil", "evil_package.inner", "./evil.py:G", "../models/vae", "vae\u0000", "os"]
)
@pytest.mark.parametrize("part", ["model", "guide"])
def test_names_that_are_not_installed_import_nothing(run, evil_code, spec, part):
    edited(run, lambda content: content["recipe"].update({part: spec}))
    for trust in (False, True):
        refused(load, ".", run, trust=trust)
    assert not evil_code.exists()


def test_own_code_is_found_without_running_it(evil_code, tmp_path):
    found = {name: registry.found_in(f"{name}:G") for name in ("evil", "evil_package", "evil_package.inner", "gone.x")}
    assert found == {
        "evil": tmp_path / "evil.py",
        "evil_package": tmp_path / "evil_package/__init__.py",
        "evil_package.inner": tmp_path / "evil_package/inner.py",
        "gone.x": None,
    }
    assert not evil_code.exists()


def test_the_checksum_of_own_code_is_kept(tmp_path):
    file = tmp_path / "my_model.py"
    file.write_text(OWN)
    pyrovae.fit(f"{file}:MyVAE", data=torch.randn(40, 6), guide="full", out=tmp_path / "run", **QUICK)
    assert directory.content(tmp_path / "run")["code"] == registry.code(f"{file}:MyVAE", "full")


# run.json


def sparse(path):
    path.write_bytes(b"")
    os.truncate(path, 2**40)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def listening(path):
    path.unlink()
    at = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(at)


def device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def elsewhere(path):
    away = path.parents[2] / "away"
    away.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(away)


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


def folder(path):
    path.unlink()
    path.mkdir()


def dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


ODD_FILES = [
    (sparse, "bytes"),
    (pipe, "named pipe"),
    (device, "is a link out of the folder"),
    (elsewhere, "is a link out of the folder"),
    (folder, "it is a folder"),
    (listening, "it is a socket"),
    (loop, "cannot be read"),
    (dangling, "the file was removed|is not a run directory"),
]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("damage", ODD_FILES)
@pytest.mark.parametrize("name", ["run.json", "weights.safetensors", "metrics.jsonl", "state/checkpoint.safetensors"])
def test_what_is_no_file_of_the_folder_is_refused_without_waiting(run, damage, name):
    change, says = damage
    change(run / name)
    told = refused(resume_from if "checkpoint" in name else load, says, run)
    assert Path(name).name in told or "not a run directory" in told


def test_a_pipe_that_comes_between_looking_and_opening_is_not_waited_for(run, monkeypatch):
    look, calls = reading._require_regular, []
    monkeypatch.setattr(reading, "_require_regular", lambda *args: look(*args) if calls else calls.append(1))
    pipe(run / "run.json")
    refused(load, "it is a named pipe", run)


def test_a_link_within_the_folder_and_to_it_is_followed(run, tmp_path):
    (run / "weights.safetensors").rename(run / "elsewhere")
    (run / "weights.safetensors").symlink_to("elsewhere")
    (tmp_path / "latest").symlink_to(run)
    load(tmp_path / "latest")


def test_a_large_run_json_is_not_read(run, monkeypatch):
    os.truncate(run / "run.json", 2**30)
    monkeypatch.setattr("pyrovae.storage.reading.first", lambda *args: pytest.fail("it was read"))
    refused(load, r"run\.json has 1,073,741,824 bytes, and 16,777,216 is the most: it is not read", run)


RUN_JSON = [  # what is done to run.json, its checksum put right, and what is told
    (lambda c: c.update(format=4), "has format 4, this pyrovae reads 3: update pyrovae"),
    (lambda c: c.update(format=4, more={}), "update pyrovae"),
    (lambda c: c.update(format="2"), "has format '2'"),
    (lambda c: c.update(format=True), "has format True"),
    (lambda c: c.pop("format"), "has format None"),
    (lambda c: c.update(more=1), r"there is a more, which format 3 has not"),
    (lambda c: c.update(status="maybe"), "status = 'maybe'"),
    (lambda c: c.pop("status"), "there is no status"),
    (lambda c: c["recipe"].update(more=1), r"there is a recipe\.more"),
    (lambda c: c["recipe"].update(model=["vae"]), r"recipe\.model"),
    (lambda c: c["recipe"].update(options=[]), r"recipe\.options"),
    (lambda c: c["recipe"].update(frozen={"run": "x"}), r"there is no recipe\.frozen\.weights"),
    (lambda c: c["recipe"]["options"].update(latent_dim="2x"), "latent_dim = '2x'"),
    (lambda c: c["recipe"]["training"].update(lr=-1), "lr = -1"),
    (lambda c: c["recipe"]["data_options"].update(workers=10**9), "workers = 1000000000"),
    (lambda c: c.update(inputs="x"), "inputs = 'x'"),
    (lambda c: c["fields"]["x"].update(shape=[3.5]), r"fields\.x\.shape\.0 = 3.5"),
    (lambda c: c["fields"]["x"].update(shape=[-3]), r"fields\.x\.shape\.0 = -3"),
    (lambda c: c["fields"]["x"].update(shape=[2**40]), r"fields\.x\.shape\.0"),
    (lambda c: c["fields"]["x"].update(shape=[1] * 99), r"fields\.x\.shape"),
    (lambda c: c["fields"]["x"].update(kind="code"), r"fields\.x\.kind = 'code'"),
    (lambda c: c["fields"]["x"].update(mean=[1.0]), r"there is a fields\.x\.mean"),
    (lambda c: c.update(data=None), "data = None"),
    (lambda c: c.update(results=[]), r"results = \[\]"),
    (lambda c: c["environment"].update(torch=["2"]), r"environment\.torch"),
    (lambda c: c.update(code={"m.py:M": {"sha256": "0" * 64}}), r"there is no code\.m\.py:M\.bytes"),
    (lambda c: c["data"].update(notes=["a" * 70_000]), "a text has 70,000 characters"),
    (lambda c: c["recipe"].update(guide=3), r"recipe\.guide = 3: it is no text"),
    (lambda c: c["data"].update(notes=json.loads("[" * 40 + "]" * 40)), "nested too deeply"),
    (lambda c: c["progress"].update(epoch=-1), r"progress\.epoch = -1"),
    (lambda c: c["progress"].update(epoch=1.0), r"progress\.epoch = 1\.0"),
    (lambda c: c["progress"].update(epoch=True), r"progress\.epoch = True"),
    (lambda c: c["progress"].update(epoch=2), "epoch 2 is after the last one, 1"),
    (lambda c: c["progress"].update(step=0), "1 epochs are over after 0 steps"),
    (lambda c: c["progress"].update(best_epoch=2), "the best epoch 2 is after epoch 1"),
    (lambda c: c["progress"].update(best_epoch=0), "the best epoch is 0"),
    (lambda c: c["progress"].update(seconds=-1.0), r"progress\.seconds = -1"),
    (lambda c: c["progress"].update(tier="fast"), r"progress\.tier = 'fast'"),
    (lambda c: c["progress"].update(device="rm -rf"), r"progress\.device"),
    (lambda c: c["progress"].update(threads=0), r"progress\.threads = 0"),
    (lambda c: c["progress"].update(ranks=0), r"progress\.ranks = 0"),
    (lambda c: c["progress"].update(microbatch=0), r"progress\.microbatch = 0"),
    (lambda c: c["progress"].pop("tier"), r"there is no progress\.tier"),
    (lambda c: c["progress"].update(more=1), r"there is a progress\.more"),
    (lambda c: c["files"].update(setup={"path": "setup.py"}), r"files\.setup"),
    (lambda c: c["files"].pop("weights") and c["files"].pop("checkpoint"), "stopped before its first checkpoint"),
    (lambda c: c["files"]["weights"].update(bytes=-1), r"files\.weights\.bytes = -1"),
    (lambda c: c["files"]["weights"].update(bytes=2**50), r"files\.weights\.bytes"),
    (lambda c: c["files"]["weights"].update(bytes=7), "its checksum differs"),
    (lambda c: c["files"]["weights"].update(sha256=None), "the file of weights has no size or no checksum"),
    (lambda c: c["files"]["weights"].pop("bytes"), "the file of weights has no size or no checksum"),
    (lambda c: c["files"]["weights"].update(sha256="A" * 64), r"files\.weights\.sha256"),
    (lambda c: c["files"]["weights"].update(sha256="a" * 64 + "\n"), r"files\.weights\.sha256"),
    (lambda c: c["files"]["weights"].update(sha256="a" * 64), "its checksum differs"),
    (lambda c: c["files"]["weights"].update(mode="x"), r"there is a files\.weights\.mode"),
    (lambda c: c["files"]["weights"].update(path="metrics.jsonl"), "the file of weights is 'metrics.jsonl'"),
    (lambda c: c["files"].update(samples=c["files"]["weights"]), "the file of samples is 'weights.safetensors'"),
    *[
        (lambda c, path=path: c["files"]["weights"].update(path=path), r"the file of weights is ")
        for path in (
            *("/etc/passwd", "../weights.safetensors", "./weights.safetensors", "state/../weights.safetensors"),
            *("weights.safetensors/", "weights.safetensors\n", "", ".", "..", "weights-0123456789.safetensors"),
            *(
                "..\\weights.safetensors",
                "C:weights.safetensors",
                "weights-ABCDEF01.safetensors",
                "//weights.safetensors",
            ),
        )
    ],
]


@pytest.mark.parametrize(("change", "says"), RUN_JSON)
def test_a_run_json_that_is_none(run, change, says):
    edited(run, change)
    assert str(run) in refused(load, says, run)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no JSON"),
        (b"null", "holds a NoneType"),
        (b"[" * 10**6, "is no JSON"),
        (b'{"a":' * 10**6, "is no JSON"),
        (b'{"format": 2, "format": 1}', "the key 'format' is there twice"),
        (b'{"format": NaN}', "NaN is no JSON"),
        (b'{"format": -Infinity}', "-Infinity is no JSON"),
        (b'{"format": 1e999}', "a number is too large"),
        (b'{"format": ' + b"9" * 5000 + b"}", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"\x00" * 100, "is no JSON"),
    ],
)
def test_a_run_json_that_is_no_json(run, content, says):
    (run / "run.json").write_bytes(content)
    assert str(run / "run.json") in refused(load, says, run)


def test_a_run_json_that_was_changed_by_hand_says_so(run):
    path = run / "run.json"
    path.write_text(path.read_text().replace('"latent_dim": 2', '"latent_dim": 3'))
    refused(load, "is damaged, or was changed by hand", run)
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content))
    refused(load, "it has no checksum", run)


def test_texts_of_a_run_may_be_any(run):
    """Classes are named after folders, whose names may be no UTF-8; an option may be a large number."""

    def odd(content):
        content["data"]["notes"] = ["\udcff", "\x1b[2J", 2**80]
        content["recipe"]["data"] = "a\udcff"
        content["fields"]["x"]["names"] = ["\udcff\x07"]

    edited(run, odd)
    assert load(run).recipe.data == "a\udcff"


def test_layout_and_order_of_run_json_do_not_matter(run):
    path = run / "run.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    load(run)


def test_the_schema_knows_all_that_is_written(made):
    from pyrovae.data import Field
    from pyrovae.runs.checkpoint import Position

    assert set(schema.PositionFile.model_fields) == set(Position.__dataclass_fields__)
    assert set(schema.FieldFile.model_fields) == set(Field.__dataclass_fields__) - {"mean", "deviation"}
    assert set(schema.RecipeFile.model_fields) == set(pyrovae.load(made / "text", device="cpu").recipe.to_json())
    assert set(store.DTYPES) == set(headers.SIZES)
    assert all(dtype.itemsize == headers.SIZES[name] for name, dtype in store.DTYPES.items())


def test_runs_of_the_first_format_are_loaded(run):
    path, before = run / "run.json", load(run)
    content = json.loads(path.read_text())
    first = {name: content[name] for name in ("recipe", "inputs", "fields", "data", "results", "environment")}
    path.write_text(json.dumps({"format": 1} | first))
    shutil.rmtree(run / "state")
    found = load(run)
    assert found.status == "done"
    assert found.metrics == before.metrics
    assert same(dict(found.pair.state_dict()), dict(before.pair.state_dict()))
    path.write_text(json.dumps({"format": 1, "files": {}} | first))
    refused(load, "of format 1 has no 'files'", run)
    path.write_text(json.dumps({"format": 1} | first))
    (run / "weights.safetensors").unlink()
    refused(load, "the file was removed|stopped before", run)


# Tensors


def header(entries, values=b""):
    head = json.dumps(entries).encode()
    return struct.pack("<Q", len(head)) + head + values


def one(**changed):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changed}


HEADERS = [
    (b"", "it has 0 bytes"),
    (b"\x01\x00\x00", "it has 3 bytes"),
    (struct.pack("<Q", 2**60) + b"{}", "its header would have 1,152,921,504,606,846,976 bytes"),
    (struct.pack("<Q", 10) + b"{}", "its header would have 10 bytes, and the file has 10"),
    (struct.pack("<Q", 0) + b"{}", "its header would have 0 bytes"),
    (struct.pack("<Q", 2) + b"{]", "Expecting"),
    (struct.pack("<Q", 2) + b"[]", "its header is no object"),
    (struct.pack("<Q", 10**5) + b"[" * 10**5, "cannot be read"),
    (header({"a": 3}), "tensor 'a' has not dtype, shape and data_offsets alone"),
    (header(one(more=1), bytes(8)), "tensor 'a' has not"),
    (header(one(dtype="C64"), bytes(8)), "tensor 'a' has dtype 'C64'"),
    (header(one(dtype=["F32"]), bytes(8)), "tensor 'a' has dtype"),
    (header(one(shape=[-2]), bytes(8)), r"tensor 'a' has shape \[-2\]"),
    (header(one(shape=[2.0]), bytes(8)), r"tensor 'a' has shape \[2.0\]"),
    (header(one(shape=[True, 2]), bytes(8)), r"tensor 'a' has shape \[True, 2\]"),
    (header(one(shape=[1] * 20), bytes(8)), "tensor 'a' has shape"),
    (header(one(shape=[2**40, 2**40]), bytes(8)), "tensor 'a' of F32 and shape .* needs"),
    (header(one(shape=[3]), bytes(8)), "tensor 'a' of F32 and shape .* needs 12 bytes and has 8"),
    (header(one(data_offsets=[8, 0]), bytes(8)), "tensor 'a' has data_offsets"),
    (header(one(data_offsets=[0, 2**70]), bytes(8)), "needs 8 bytes and has 1,180,591,620"),
    (header(one(data_offsets=[0, 4, 8]), bytes(8)), "tensor 'a' has data_offsets"),
    (header(one(data_offsets=[4, 12]), bytes(12)), "tensor 'a' begins at byte"),
    (header(one(), bytes(4)), "its tensors end at byte"),
    (header(one(), bytes(9)), "its tensors end at byte"),
    (header(one() | {"b": one()["a"]}, bytes(8)), "tensor 'b' begins at byte"),
    (header({"\x1b[31m": one()["a"]}, bytes(8)), "control characters"),
    (header({"x" * 2000: one()["a"]}, bytes(8)), "a text has 2,000 characters"),
    (header({"__metadata__": {"a": 1}}), "its metadata are no texts"),
    (header({"__metadata__": 1}), "its metadata are no texts"),
    (header({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\x01\x02"), "tensor 'a' of truth values"),
]


@pytest.mark.parametrize(("data", "says"), HEADERS)
def test_a_safetensors_file_that_is_none(run, data, says):
    replaced(run, "weights", data)
    told = refused(load, says, run)
    assert "weights.safetensors cannot be read" in told


def test_tensors_are_those_that_safetensors_reads():
    draw = random.Random(0)
    for seed in range(40):
        torch.manual_seed(seed)
        tensors = {}
        for i in range(draw.randrange(6)):
            shape = [draw.randrange(4) for _ in range(draw.randrange(4))]
            dtype = draw.choice(list(store.DTYPES.values()))
            tensors[f"t{i}"] = torch.randint(0, 2, shape).to(dtype)
        data = safetensors.torch.save(tensors, {"by": "someone"} if seed % 2 else None)
        ours, theirs = store.tensors_of(data, "file"), safetensors.torch.load(data)
        assert same(dict(sorted(ours.items())), dict(sorted(theirs.items())))


def test_a_header_that_safetensors_refuses_is_refused():
    good = safetensors.torch.save({"a": torch.randn(3, 2), "b": torch.arange(4), "c": torch.tensor(True)})
    draw, size, read = random.Random(0), 8 + int.from_bytes(good[:8], "little"), 0
    for _ in range(3000):
        damaged = bytearray(good)
        damaged[draw.randrange(size)] = ord(draw.choice('0123456789"[]{},: FIU')) if draw.random() < 0.8 else 7
        try:
            ours = store.tensors_of(damaged, "file")
        except PyrovaeError:
            continue
        read += 1
        assert same(dict(sorted(ours.items())), dict(sorted(safetensors.torch.load(bytes(damaged)).items())))
    assert read > 100


def test_tensors_that_do_not_begin_at_whole_words_are_read():
    data = header({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "b": one(data_offsets=[1, 9])["a"]})
    values = struct.pack("<B2f", 7, 1.5, -2.0)
    for pad in range(8):
        head = data[8:] + b" " * pad
        found = store.tensors_of(struct.pack("<Q", len(head)) + head + values, "file")
        assert found["a"].tolist() == [7]
        assert found["b"].tolist() == [1.5, -2.0]


def test_tensors_take_no_memory_beside_the_bytes_of_the_file():
    data = bytearray(store.to_bytes({"a": torch.randn(1000), "b": torch.randn(9, 5)}))
    begin = torch.frombuffer(data, dtype=torch.uint8).data_ptr()
    assert all(begin < each.data_ptr() < begin + len(data) for each in store.tensors_of(data, "file").values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_by_name(run, value):
    weights = store.tensors_of((run / "weights.safetensors").read_bytes(), "weights")
    for name in weights:
        state = {other: tensor.clone() for other, tensor in weights.items()}
        state[name].view(-1)[-1] = value
        replaced(run, "weights", store.to_bytes(state))
        refused(load, f"'{name}' holds {'NaN' if value != value else 'infinity'}", run)


def test_weights_of_another_kind_are_refused_by_name(run):
    weights = store.tensors_of((run / "weights.safetensors").read_bytes(), "weights")
    name = next(iter(weights))
    for odd, says in (
        (weights[name].long(), "has dtype torch.int64"),
        (weights[name][..., :1], "has shape"),
        (weights[name].double() * 1e300, "holds infinity"),
    ):
        replaced(run, "weights", store.to_bytes(weights | {name: odd}))
        refused(load, f"'{name}' {says}", run)


class Masked(nn.Module):
    """A model with a mask of -inf."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Linear(2, 6)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)


def test_a_mask_of_infinity_is_no_damage(tmp_path):
    from test_run import Guide

    x = torch.randn(40, 6)
    pyrovae.fit(Pair(Masked(), Guide()), data=x, out=tmp_path / "run", **QUICK)
    load(tmp_path / "run", pair=Pair(Masked(), Guide()), data=x)
    pyrovae.fit(Pair(Masked(), Guide()), data=x, resume=tmp_path / "run", epochs=2, show=False)
    other = Pair(Masked(), Guide())
    other.model.mask.zero_()
    refused(load, "'model.mask' holds infinity", tmp_path / "run", pair=other, data=x)


# metrics.jsonl and vocabulary.json


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"epoch": 1', "line 1"),
        (b'{"epoch": 1}\n{"epoch": }\n', "line 2"),
        (b"3\n", "line 1: it is no object of numbers"),
        (b"[1]\n", "no object of numbers"),
        (b'{"epoch": "one"}\n', "no object of numbers"),
        (b'{"epoch": [1]}\n', "no object of numbers"),
        (b'{"epoch": true}\n', "no object of numbers"),
        (b'{"epoch": NaN}\n', "NaN is no JSON"),
        (b'{"epoch": 1, "epoch": 2}\n', "twice"),
        (b'{"epoch": 1}' + b" " * 70_000 + b"\n", "it has 70,012 bytes, and 65,536 is the most"),
        (b"\xff\xfe\n", "line 1"),
        (b"[" * 60_000 + b"\n", "line 1"),
    ],
)
def test_metrics_that_are_none(run, data, says):
    replaced(run, "metrics", data)
    assert "metrics.jsonl" in refused(load, says, run)


def test_metrics_that_grew_are_those_of_the_checkpoint(run):
    before = load(run).metrics
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2')
    assert load(run).metrics == before


def other(part, value):
    def change(content):
        *way, last = part.split(".")
        for name in way:
            content = content[name]
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other("model", None), "its model is None"),
        (other("model.type", "WordPiece"), "its model is 'WordPiece'"),
        (other("model.type", ["BPE"]), "cannot be read"),
        (other("model.vocab", ["cat"]), "its words are not texts with numbers"),
        (other("model.vocab.cat", "4"), "its words are not texts with numbers"),
        (other("model.vocab.cat", 999), "do not have the numbers from 0"),
        (other("pre_tokenizer", {"type": "Sequence"}), "its pre_tokenizer is 'Sequence'"),
        (other("normalizer", "NFC"), "cannot be read"),
        (other("post_processor", {"type": "ByteLevel"}), "it has a post_processor"),
        (other("more", {}), "cannot be read"),
    ],
)
def test_a_vocabulary_that_is_none(text, change, says):
    content = json.loads((text / "vocabulary.json").read_text())
    change(content)
    replaced(text, "vocabulary", json.dumps(content).encode())
    assert "vocabulary.json" in refused(load, says, text)


# Checkpoints


def tensors(run):
    return store.tensors_of((run / "state/checkpoint.safetensors").read_bytes(), "checkpoint")


CHECKPOINT = [  # a tensor, what is done to it, what is told
    ("weights/guide.q.loc.bias", lambda t: t * torch.nan, "'weights/guide.q.loc.bias' holds NaN"),
    ("best/guide.q.loc.bias", lambda t: t * torch.nan, "'best/guide.q.loc.bias' holds NaN"),
    ("best/guide.q.loc.bias", lambda t: t[:1], "'best/guide.q.loc.bias' does not fit"),
    ("best/guide.q.loc.bias", None, "'best/guide.q.loc.bias' does not fit"),
    ("optimizer/0.exp_avg", lambda t: t / 0, "'optimizer/0.exp_avg' holds"),
    ("optimizer/0.exp_avg_sq", lambda t: t - 1, "'optimizer/0.exp_avg_sq' is .*, below 0"),
    ("optimizer/0.step", lambda t: t - 1e6, "'optimizer/0.step' is .*, below 0"),
    ("optimizer/skipped", lambda t: t - 1, "'optimizer/skipped' is -1, below 0"),
    ("generators/cpu", lambda t: t[:-1], "'generators/cpu' .* is no state of a generator"),
    ("generators/cpu", lambda t: t.float(), "'generators/cpu' of torch.float32"),
    ("generators/cpu", lambda t: t.unsqueeze(0), "'generators/cpu' .* is no state"),
    ("generators/cpu", lambda t: torch.full_like(t, 255), "'generators/cpu' .* is no state"),
    ("generators/order", lambda t: t[:16], "'generators/order' .* is no state"),
    ("generators/order", None, "it has no state 'generators/order'"),
    ("sums", lambda t: t[:3], r"'sums' has shape \(3,\) and not \(4,\)"),
    ("sums", lambda t: t * torch.nan, "'sums' holds NaN"),
    ("sums", None, "KeyError: 'sums'"),
]


@pytest.mark.parametrize(("name", "change", "says"), CHECKPOINT)
def test_a_checkpoint_that_is_none(run, name, change, says):
    found = tensors(run)
    old = found.pop(name)
    if change is not None:
        found[name] = change(old)
    replaced(run, "checkpoint", store.to_bytes(found))
    assert "checkpoint.safetensors" in refused(resume_from, says, run)
    edited(run, lambda content: content.update(status="training"))
    edited(run, lambda content: content["files"].pop("weights"))
    refused(load, says, run)


@pytest.mark.parametrize("name", ["more", "more/x", "generators/more", "generators/device"])
def test_a_tensor_that_no_checkpoint_has(run, name):
    size = 9999
    replaced(run, "checkpoint", store.to_bytes(tensors(run) | {name: torch.zeros(size, dtype=torch.uint8)}))
    refused(resume_from, name.partition("/")[2] if "gen" in name else "more", run)


def test_a_checkpoint_and_metrics_of_different_epochs(run):
    replaced(run, "metrics", b"")
    refused(resume_from, r"is of epoch 1, and metrics\.jsonl has 0 lines", run)


# A fit that runs meanwhile


def test_a_fit_that_commits_while_a_run_is_loaded(run, monkeypatch):
    """Between run.json and the weights that it names, the next state takes their place."""
    other = load(run)
    with torch.no_grad():
        next(other.pair.parameters()).add_(1)
    read, calls = directory.read, []

    def late(folder, content, role, *args):
        if not calls:
            calls.append(role)
            other.save(run)
        return read(folder, content, role, *args)

    monkeypatch.setattr(directory, "read", late)
    assert same(dict(load(run).pair.state_dict()), dict(other.pair.state_dict()))
    assert calls


def test_a_damaged_file_is_told_at_once(run, monkeypatch):
    (run / "weights.safetensors").unlink()
    content, calls = directory.content, []
    monkeypatch.setattr(directory, "content", lambda folder: calls.append(1) or content(folder))
    refused(load, "there is no .*weights", run)
    assert len(calls) == 2


def test_runs_are_loaded_while_another_thread_commits(run):
    content, stop, failed = directory.content(run), threading.Event(), []
    weights = store.tensors_of((run / "weights.safetensors").read_bytes(), "weights")
    head = {name: value for name, value in content.items() if name not in ("format", "files", "checksum")}

    def commit_on():
        try:
            while not stop.wait(0.2):  # a load on a busy machine is to find one state that lasts
                [each.add_(1) for each in weights.values()]
                contents = {"weights": store.to_bytes(weights), "metrics": (run / "metrics.jsonl").read_bytes()}
                commit(run, head, contents, ("checkpoint",))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=commit_on)
    thread.start()
    try:
        found = set()
        while len(found) < 4 and not failed:
            found.add(str(next(iter(load(run).pair.parameters())).detach()))
    finally:
        stop.set()
        thread.join()
    assert not failed


# Bits


def test_every_flipped_bit_is_found(text):
    counts = flip(text, 96)
    assert {"run.json", "weights.safetensors", "metrics.jsonl", "vocabulary.json"} < set(counts)
    for name, count in counts.items():
        assert count.tried >= 90
        assert count.found == count.tried or name == "run.json", name
    assert counts["run.json"].harmless <= 2


def test_all_bits_of_a_small_file_are_flipped():
    assert len(list(places(12, 96, random.Random(0)))) == 96
    some = list(places(1000, 128, random.Random(0)))
    assert len(some) == len(set(some)) == 128
    assert {0, 1, 998, 999} <= {at for at, _ in some}


class UnsealableError(Exception):
    """Raised where bytes are no JSON object, which has no checksum."""


def json_of(data):
    try:
        found = strict(bytes(data))
    except ValueError:
        raise UnsealableError from None
    if not isinstance(found, dict):
        raise UnsealableError
    return found


@pytest.mark.parametrize("role", ["weights", "checkpoint", "metrics", "vocabulary", "run.json"])
def test_behind_a_checksum_that_was_put_right_nothing_but_a_sentence_comes(text, role):
    """A file that someone damaged on purpose: it is refused, or read as it is; nothing else happens."""
    draw, refusals = random.Random(0), 0
    path = text / directory.PATHS.get(role, role)
    before, run_json = path.read_bytes(), (text / "run.json").read_bytes()
    size = len(before) if role not in ("weights", "checkpoint") else 8 + int.from_bytes(before[:8], "little")
    for _ in range(80):
        damaged, at = bytearray(before), draw.randrange(size)
        match draw.randrange(4):
            case 0:
                damaged[at] ^= 1 << draw.randrange(8)
            case 1:
                damaged[at] = draw.randrange(256)
            case 2:
                del damaged[at : at + draw.randrange(1, 40)]
            case 3:
                damaged[at:at] = before[draw.randrange(size) :][: draw.randrange(1, 40)]
        (text / "run.json").write_bytes(run_json)
        try:
            if role == "run.json":
                path.write_text(json.dumps(schema.sealed(json_of(damaged))))
            else:
                replaced(text, role, bytes(damaged))
            load(text) if role in ("vocabulary", "run.json") else state(text)
        except (PyrovaeError, UnsealableError):
            refusals += 1
    assert refusals > 10


def test_own_code_that_was_edited_is_told_when_it_is_run_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my_model.py"
    file.write_text(OWN)
    x = torch.randn(40, 6)
    options = {"epochs": 1, "score_samples": 2, "show": False}
    pyrovae.fit("my_model.py:MyVAE", data=x, out=tmp_path / "run", **options)
    pyrovae.load(tmp_path / "run", data=x, trust=True)  # as it was: without a word
    file.write_text(OWN.replace("self.decoder(z), 1.0)", "self.decoder(z), 2.0)"))
    with pytest.warns(UserWarning, match=r"my_model.py is not as it was when the run in .* was made"):
        pyrovae.load(tmp_path / "run", data=x, trust=True)
    with pytest.warns(UserWarning, match=r"my_model.py is not as it was"):
        pyrovae.fit(resume=tmp_path / "run", data=x, trust=True, epochs=2, show=False)
