"""Run directories with files changed, lost, swapped or no files: inspected, loaded, scored and resumed."""

import os
import signal
import time
from pathlib import Path
from random import Random

import pytest
from commands import listing, run, the_error

import fuzzing
from fuzzing.__main__ import run as tried
from fuzzing.case import Case, Target
from fuzzing.judge import outcome


def test_damaged_runs_load_or_are_refused(tmp_path):
    target, counts = fuzzing.TARGETS["run"], {"loaded": 0, "refused": 0}
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        counts[outcome(target, target.make(Random(f"0 {number}"), folder))] += 1
    assert min(counts.values()) > 3


def test_the_command_tells_damage_in_one_sentence_and_writes_nothing(tmp_path, monkeypatch):
    codes = set()
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        fuzzing.TARGETS["run"].make(Random(f"command {number}"), folder)
        monkeypatch.chdir(folder)
        before = listing(folder)
        result = run("loglik", "run", "--samples", "2", "--limit", "2", "--device", "cpu")
        assert result.exit_code in (0, 1, 2), result.output
        assert "--debug to see where" not in result.output, (number, result.output)
        if result.exit_code:
            the_error(result.stderr)
            assert result.stdout == ""
        assert listing(folder) == before
        codes.add(result.exit_code)
    assert codes >= {0, 1}


def dies(case):
    os._exit(3)


def hangs(case):
    """As code that is not Python may: no signal ends it but SIGKILL."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGPROF})
    time.sleep(1000)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("load", "says"), [(dies, "the process ended with 3"), (hangs, "no end after 1 s")], ids=["dies", "hangs"]
)
def test_a_case_that_ends_its_process_or_never_ends_is_told_and_kept(tmp_path, capfd, load, says):
    def make(draw, folder):
        Path(folder, "a.npy").write_bytes(b"x")
        return Case(folder, "a.npy")

    counts = tried(Target("x", make, load), 5, 0.5, tmp_path, patience=1)
    assert counts["wrong"] >= 1
    assert counts.total() == counts["wrong"]
    assert f"x --seed 5 --case 0: {says}" in capfd.readouterr().out
    assert (tmp_path / "x-5-0" / "files" / "a.npy").read_bytes() == b"x"
