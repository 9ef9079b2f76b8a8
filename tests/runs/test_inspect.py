"""`pyrovae inspect`: all about a run, and what is wrong with it; and what is shown before one's own code is run."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import OWN, QUICK, TINY, done, run, the_error, write_data
from damage import edited, replaced

from pyrovae import UsageError
from pyrovae.runs import directory
from pyrovae.runs.inspection import inspect


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_data(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        done("fit", "--model", "vae", "--data", "vectors.npy", *TINY, "--lr", "0.01", "--out", "vector", "--quiet")
        own = ("--model", "my_model.py:MyVAE", "--data", "vectors.npy", "--width", "3", *QUICK[:4], "--out", "own")
        done("fit", *own, "--quiet")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def vector(runs, tmp_path):
    return Path(shutil.copytree(runs / "vector", tmp_path / "run"))


@pytest.fixture
def own(runs, tmp_path, monkeypatch):
    for name in ("my_model.py", "vectors.npy"):
        shutil.copy(runs / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(runs / "own", tmp_path / "own"))


def test_all_of_a_run_is_told(vector):
    found = json.loads(done("inspect", vector, "--json").stdout)
    content = json.loads((vector / "run.json").read_text())
    assert found["model"] == "vae"
    assert (found["status"], found["resume"], found["damage"], found["not_named"]) == ("done", None, [], [])
    for name in ("data", "progress", "results", "environment", "fields", "inputs"):
        assert found[name] == content[name]
    assert found["options"]["training"] == {"epochs": 1, "lr": 0.01, "score_samples": 2, "device": "cpu"}
    assert found["options"]["data"] == {}
    assert found["options"]["model"]["latent_dim"] == 2
    assert {each["role"]: each["verdict"] for each in found["files"]} == dict.fromkeys(content["files"], "ok")
    weights = found["tensors"]["weights.safetensors"]
    assert sum(int(np.prod(each["shape"])) for each in weights.values()) >= found["parameters"]  # and buffers
    shown = done("inspect", vector).stdout
    for part in (
        content["data"]["fingerprint"],
        "weights.safetensors",
        "guide.q.loc.weight",
        "lr",
        "0.01",
        "optimizer/",
    ):
        assert part in shown


def test_no_torch_is_imported_and_no_code(own):
    code = "import sys; from pyrovae.cli import cli; cli(['inspect', sys.argv[1]], standalone_mode=False); "
    code += "assert 'torch' not in sys.modules; assert not [name for name in sys.modules if 'my_model' in name]"
    result = subprocess.run([sys.executable, "-c", code, str(own)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "my_model.py:MyVAE: as it was when the run was made" in result.stdout


DAMAGE = [  # what is done, the verdict on which file, what is told
    (lambda path: (path / "weights.safetensors").unlink(), "weights", "missing", "the file was removed"),
    (lambda path: (path / "weights.safetensors").write_bytes(b"x"), "weights", "differs", "its checksum differs"),
    (lambda path: replaced(path, "weights", b"x" * 100), "weights", "differs", "cannot be read"),
    (lambda path: replaced(path, "metrics", b"{]\n"), "metrics", "differs", "line 1"),
    (lambda path: os.truncate(path / "curves.png", 10), "curves", "differs", "10 bytes, and not"),
    (
        lambda path: edited(path, lambda c: c["files"]["curves"].update(path="../x")),
        "curves",
        "not named rightly",
        "the file of curves is",
    ),
    (lambda path: edited(path, lambda c: c["progress"].update(epoch=7)), "weights", "ok", "epoch 7 is after the last"),
    (
        lambda path: (path / "run.json").write_text(
            (path / "run.json").read_text().replace('"epochs": 1', '"epochs": 2')
        ),
        "weights",
        "ok",
        "changed by hand",
    ),
]


@pytest.mark.parametrize(("change", "role", "verdict", "says"), DAMAGE)
def test_what_is_damaged_is_told_with_all_that_is_not(vector, change, role, verdict, says):
    change(vector)
    for words in (("inspect", vector, "--json"), ("inspect", vector)):
        result = run(*words)
        assert result.exit_code == 1
        assert says in the_error(result.stderr)
    found = json.loads(run("inspect", vector, "--json").stdout)
    assert found["model"] == "vae"
    assert {each["role"]: each["verdict"] for each in found["files"]}[role] == verdict
    assert says in found["damage"][0]


@pytest.mark.parametrize("content", [b"", b"[]", b"garbage", b"\x80\x04N.", b'{"format": 99}', b"[" * 10**5])
def test_a_run_json_that_is_none_is_one_sentence(vector, content):
    (vector / "run.json").write_bytes(content)
    result = run("inspect", vector)
    assert result.exit_code == 1
    assert "run.json" in the_error(result.stderr)
    assert "weights.safetensors" in result.stdout  # as a file that nothing names


def test_what_is_no_run_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        result = run("inspect", path)
        assert result.exit_code == 2
        assert "is not a run directory" in the_error(result.stderr)
    with pytest.raises(UsageError):
        inspect(tmp_path)


def test_a_fit_that_was_stopped_says_how_to_go_on(vector):
    def stopped(content):
        content.update(status="training", results={})
        content["files"] = {"checkpoint": content["files"]["checkpoint"], "metrics": content["files"]["metrics"]}

    edited(vector, stopped)
    (vector / "metrics.jsonl").write_text((vector / "metrics.jsonl").read_text() + '{"epo')
    (vector / "state/.0123abcd.checkpoint.safetensors").write_text("half")
    found = inspect(vector)
    assert (found["status"], found["damage"]) == ("training", [])
    assert found["resume"] == f"pyrovae fit --resume {vector}"
    assert "state/.0123abcd.checkpoint.safetensors" in found["not_named"]
    assert f"pyrovae fit --resume {vector}" in done("inspect", vector).stdout


def test_a_fit_that_commits_meanwhile_is_no_damage(vector, monkeypatch):
    verify, calls = directory.verify, []

    def late(folder, role, entry):
        if not calls:
            calls.append(role)
            text = json.loads((folder / "run.json").read_text())
            replaced(folder, "samples", b"the next picture")
            assert text != json.loads((folder / "run.json").read_text())
        return verify(folder, role, entry)

    monkeypatch.setattr(directory, "verify", late)
    assert inspect(vector)["damage"] == []
    assert calls


def test_a_run_of_the_first_format_has_no_checksums(vector):
    content = json.loads((vector / "run.json").read_text())
    first = {name: content[name] for name in ("recipe", "inputs", "fields", "data", "results", "environment")}
    (vector / "run.json").write_text(json.dumps({"format": 1} | first))
    found = inspect(vector)
    assert (found["format"], found["status"], found["damage"]) == (1, "done", [])
    assert {each["verdict"] for each in found["files"]} == {"unchecked"}


def test_names_that_move_the_cursor_are_printed_as_they_are_written(vector):
    (vector / "a\x1b[2Jb").write_text("")
    (vector / os.fsdecode(b"\xff\xfe")).write_text("")
    shown = done("inspect", vector).stdout
    assert "\x1b" not in shown
    assert "a\\x1b[2Jb" in shown
    done("inspect", vector, "--json")


def test_garbled_directories_never_end_in_a_traceback(vector):
    draw = random.Random(0)
    good = {path: path.read_bytes() for path in vector.rglob("*") if path.is_file()}
    codes = []
    for i in range(60):
        path = draw.choice([*good, vector / "run.json", vector / "run.json"])
        damaged, at = bytearray(good[path]), draw.randrange(max(1, len(good[path]) or 1))
        damaged[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(6)) if i % 2 else b'"}],:{['[: i % 7]
        path.write_bytes(damaged)
        if i % 3 == 0 and path.name == "run.json":
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                edited(vector, lambda content: None)
        result = run("inspect", vector, "--json")
        assert result.exit_code in (0, 1)
        if result.exit_code == 1:
            assert "run again with --debug" not in the_error(result.stderr)
        codes.append(result.exit_code)
        for each, data in good.items():
            each.write_bytes(data)
    assert codes.count(1) > 30


JUNK = [None, "x", [1], {"a": 1}]


def test_any_json_where_run_json_should_be_is_shown(vector):
    good = json.loads((vector / "run.json").read_text())
    for key in good:
        for junk in (each for each in JUNK if each != good[key]):
            (vector / "run.json").write_text(json.dumps(good | {key: junk}))
            assert run("inspect", vector).exit_code == 1
            edited(vector, lambda content, key=key, junk=junk: content.update({key: junk}))
            result = run("inspect", vector)
            assert "run again with --debug" not in result.stderr
            assert result.exit_code in (0, 1)
    for junk in JUNK:
        edited(vector, lambda content, junk=junk: content.update(files=dict.fromkeys(good["files"], junk)))
        assert run("inspect", vector, "--json").exit_code == 1


# What is shown before one's own code is run


def test_own_code_is_shown_before_it_is_run(own, tmp_path):
    digest = directory.content(own)["code"]["my_model.py:MyVAE"]["sha256"]
    result = done("loglik", own, "--samples", 2, "--trust")
    line = f"--trust runs your own code, {tmp_path / 'my_model.py'} ({len(OWN):,} bytes, sha256 {digest}): as it was"
    assert line in result.stderr
    (tmp_path / "my_model.py").write_text(OWN + '\nraise RuntimeError("the code was run")\n')
    result = run("loglik", own, "--samples", 2, "--trust")
    told = result.stderr.index(f": changed since the run was made (sha256 {digest})")
    assert told < result.stderr.index("the code was run")
    assert "changed since the run was made" in run("inspect", own).stdout
    (tmp_path / "my_model.py").unlink()
    assert "there is no such file now" in run("loglik", own, "--trust").stderr


def test_own_code_is_shown_before_it_is_run_where_its_model_is_frozen(own, tmp_path):
    (tmp_path / "my_model.py").write_text(OWN + '\nraise RuntimeError("the code was run")\n')
    result = run("fit", "--freeze-model", own, "--trust", "--guide", "full")
    assert result.stderr.count("--trust runs your own code") == 1
    assert result.stderr.index("changed since the run was made") < result.stderr.index("the code was run")


def test_without_trust_nothing_is_shown_and_nothing_is_run(own, tmp_path):
    (tmp_path / "my_model.py").write_text("open('marker', 'w').close()\n")
    for words in (("loglik", own), ("fit", "--freeze-model", own), ("inspect", own)):
        assert "runs your own code" not in run(*words).stderr
    assert not (tmp_path / "marker").exists()
