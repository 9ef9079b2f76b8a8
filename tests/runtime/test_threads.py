"""Threads that spin: for microseconds where that can still be said, and told where they starve."""

import os
import subprocess
import sys
import time

import pytest

import pyrovae
from pyrovae.runtime.threads import SPINS, Crowded, Usage, spin_briefly, usage
from pyrovae.training import loop


@pytest.mark.parametrize(
    ("first", "given", "expected"),
    [
        ("", {}, "3000"),
        ("import torch; ", {}, "None"),
        ("", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("", {"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
    ],
)
def test_import_lets_threads_sleep_where_torch_is_not_there_yet(first, given, expected):
    code = f"{first}import pyrovae, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    environment = {name: value for name, value in os.environ.items() if name not in SPINS} | given
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == expected


def test_nothing_is_set_beside_torch(monkeypatch):
    for name in SPINS:
        monkeypatch.delenv(name, raising=False)
    spin_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


def used(*figures):
    """Gives, at each call, wall-clock seconds from ten ago on, processor seconds and switches."""
    begun, rest = time.perf_counter() - 10, iter(figures)

    def use():
        wall, cpu, switches = next(rest)
        return Usage(begun + wall, cpu, switches)

    return use


@pytest.mark.parametrize(
    ("cpu", "switches", "told"),
    [(5.0, 1500, True), (18.0, 1500, False), (5.0, 30, False)],
    ids=["starving", "busy by itself", "mostly serial"],
)
def test_starving_threads_are_told_once(cpu, switches, told, monkeypatch):
    for name in SPINS:
        monkeypatch.delenv(name, raising=False)
    crowded = Crowded(2, used((0, 0, 0), (10, cpu, switches), (10, 0, 0)))
    assert crowded() is None
    sentence = crowded()
    assert (sentence is not None) == told
    if told:
        assert "the 2 threads get 25% of their time" in sentence
        assert "GOMP_SPINCOUNT=3000" in sentence
        assert crowded() is None
    monkeypatch.setenv("GOMP_SPINCOUNT", "3000")
    crowded = Crowded(2, used((0, 0, 0), (10, cpu, switches)))
    sentence = (crowded(), crowded())[1]
    assert not told or ("OMP_NUM_THREADS=1" in sentence and "GOMP" not in sentence)


def test_one_thread_waits_for_nobody():
    crowded = Crowded(1, used((0, 0, 0), (10, 1.0, 9999)))
    assert (crowded(), crowded()) == (None, None)


def test_the_first_seconds_and_a_system_that_does_not_tell_say_nothing():
    for crowded in (Crowded(2), Crowded(2, lambda: None)):
        assert (crowded(), crowded()) == (None, None)
    before, after = usage(), usage()
    assert before is None or (after.wall > before.wall and after.cpu >= before.cpu)


def test_a_fit_says_it(monkeypatch, capsys):
    monkeypatch.setattr(loop, "Crowded", lambda threads: Crowded(2, used((0, 0, 0), (10, 1.0, 9999))))
    pyrovae.fit("vae", epochs=2, latent_dim=2, hidden=(4,), score_samples=2, device="cpu")
    assert capsys.readouterr().err.count("note: other processes use the cores") == 1
