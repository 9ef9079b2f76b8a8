"""What cannot be written to stdout or stderr costs no work."""

import errno
import io
import os
import subprocess
import sys

import pytest
import torch
from commands import TINY, run, write_data

import pyrovae
from pyrovae.cli import main
from pyrovae.runtime.progress import notes_only, progress


class Gone(io.StringIO):
    """A stream that takes some writes, and then none, as a terminal that is closed or a pipe without a reader."""

    def __init__(self, takes: int, terminal: bool) -> None:
        super().__init__()
        self.takes, self.terminal, self.refused = takes, terminal, 0

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        if self.takes <= 0:
            self.refused += 1
            raise OSError(errno.EIO, "Input/output error")
        self.takes -= 1
        return super().write(text)


@pytest.mark.parametrize("terminal", [True, False], ids=["bars", "lines"])
@pytest.mark.parametrize("takes", [0, 1, 3])
def test_progress_that_cannot_be_written_is_dropped_from_then_on(monkeypatch, terminal, takes):
    stream = Gone(takes, terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    for shown in (progress(), notes_only()):
        stream.refused = 0
        with shown:
            for _ in range(3):
                shown.start("vae", total=2)
                shown.advance(2, ELBO=-1.0)
                shown.line("note: a note")
        assert stream.refused == 1


def test_progress_on_a_stream_that_is_closed_is_dropped(monkeypatch):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress() as shown:
        shown.line("a note")


@pytest.mark.parametrize("stream", [Gone(1, terminal=False), None], ids=["full", "none"])
def test_a_fit_outlives_its_progress(tmp_path, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    options = {"epochs": 2, "latent_dim": 2, "hidden": (4,), "score_samples": 2, "device": "cpu"}
    found = pyrovae.fit("vae", data=torch.rand(40, 5), out=tmp_path / "run", **options)
    assert (found.status, found.outcome.epochs) == ("done", 2)
    assert pyrovae.load(tmp_path / "run").status == "done"


def test_results_that_cannot_be_written_are_an_error_after_all_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyrovae.cli.fit.print_table", full)
    result = run("fit", "--model", "vae", "--data", "vectors.npy", *TINY, "--out", "new")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1,
        "Error: the disk is full: free some space or write elsewhere",
    )
    assert pyrovae.load("new").status == "done"


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("models >&-", 0, ""),
        ("models 2>&-", 0, "vae"),
        ("models >&- 2>&-", 0, ""),
        ("models >/dev/full 2>/dev/full", 1, ""),
        ("inspect nowhere 2>/dev/full", 2, ""),
        ("inspect nowhere 2>&-", 2, ""),
    ],
)
def test_streams_that_are_closed_or_full(command, code, says):
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m pyrovae {command}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    assert says in done.stdout


def test_a_name_that_is_no_utf8_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    name = os.fsdecode(b"caf\xe9")
    args = ["fit", "--model", "vae", "--data", "vectors.npy", *TINY, "--quiet", "--out", name]
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # else the command chooses how threads wait
    monkeypatch.setattr(sys, "argv", ["pyrovae", *args])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "run directory   caf\\udce9\n" in sys.stdout.buffer.getvalue().decode()
    assert pyrovae.load(name).status == "done"
