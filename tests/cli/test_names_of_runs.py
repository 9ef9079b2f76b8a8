"""Commands that run at once, none of which was told where to write."""

from pathlib import Path

import click
import pytest
from commands import TINY, done, listing, run, write_data

from pyrovae.cli._fits import next_free


def context():
    return click.Context(click.Command("fit"))


def test_each_has_a_folder_of_its_own_before_anything_is_written(tmp_path):
    root = tmp_path / "runs"
    with context():
        first = next_free("vae", "digits", root)
        with context():
            assert next_free("vae", "digits", root) == root / "vae-digits-2"
        assert not (root / "vae-digits-2").exists()
        with context():
            second = next_free("vae", "digits", root)
            (second / "run.json").touch()
    assert (first, second) == (root / "vae-digits", root / "vae-digits-2")
    assert list(root.iterdir()) == [second]


def test_another_process_of_torchrun_makes_none(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with context():
        assert not next_free("vae", "digits", tmp_path / "runs").exists()


@pytest.mark.parametrize("data", ["nothing.npy", "nan.npy", "a\0b"])
@pytest.mark.parametrize("command", [("fit",), ("compare", "--guides", "diagonal")], ids=["fit", "compare"])
def test_a_command_that_fails_leaves_no_folder(tmp_path, monkeypatch, command, data):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    before = listing(Path())
    assert run(*command, "--model", "vae", "--data", data, *TINY).exit_code in (1, 2)
    assert listing(Path()) == before


def test_what_a_fit_that_was_killed_at_its_first_write_has_left_is_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    Path("killed").mkdir()
    for name in (".lock", ".0123abcd.run.json"):
        (Path("killed") / name).touch()
    done("fit", "--model", "vae", "--data", "vectors.npy", "--out", "killed", *TINY)
    Path("other").mkdir()
    (Path("other") / ".profile").touch()
    assert run("fit", "--model", "vae", "--data", "vectors.npy", "--out", "other", *TINY).exit_code == 2


def test_a_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    Path("runs").touch()
    result = run("fit", "--model", "vae", "--data", "vectors.npy", *TINY)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "--debug" not in result.stderr
