"""Several at once: every verb leaves the process as it found it, and threads and processes keep apart."""

import copy
import hashlib
import itertools
import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pyro
import pytest
import torch
from commands import score_quickly
from pyro.poutine.runtime import _DIM_ALLOCATOR, _PYRO_STACK
from torch.fx.experimental.proxy_tensor import make_fx

import pyrovae
from pyrovae import evaluation
from pyrovae.lowering import engine, products
from pyrovae.pairs.modes import evaluating
from pyrovae.runtime import turns
from pyrovae.runtime.seeding import seeded
from pyrovae.testing.selftest import selftest

SMALL: dict[str, Any] = {"epochs": 1, "latent_dim": 2, "hidden": (8,), "score_samples": 2, "show": False}
TRACED: dict[str, Any] = {"epochs": 4, "score_samples": 2, "show": False}


def state() -> dict[str, Any]:
    """What a process has once, for all who use it, in a form that can be compared."""
    numpy_kind, numpy_keys, *numpy_rest = np.random.get_state()
    return {
        "torch's generator": torch.get_rng_state().tolist(),
        "numpy's generator": (numpy_kind, numpy_keys.tolist(), numpy_rest),
        "Python's generator": random.getstate(),
        "default dtype": torch.get_default_dtype(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        ),
        "float32 products": torch.get_float32_matmul_precision(),
        "oneDNN": (torch.backends.mkldnn.enabled, getattr(products.SETTING, "fp32_precision", None)),
        "cuDNN": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "validation": (torch.distributions.Distribution._validate_args, pyro.settings.get()),
        "Pyro's handlers": (list(_PYRO_STACK), list(_DIM_ALLOCATOR._stack)),
        "Pyro's parameters": sorted(pyro.get_param_store().keys()),
        "warnings": ([str(each) for each in warnings.filters], warnings.showwarning),
        "loggers": {name: logger.level for name, logger in known_loggers().items()},
        "matplotlib": (dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "other threads": {thread.name for thread in threading.enumerate()} - {threading.current_thread().name},
        "other processes": multiprocessing.active_children(),
        "turns": list(turns._turns.queue),
    }


def known_loggers() -> dict[str, logging.Logger]:
    found = {name: each for name, each in logging.Logger.manager.loggerDict.items() if isinstance(each, logging.Logger)}
    return found | {"": logging.getLogger()}


def changed(before: dict[str, Any]) -> list[str]:
    """What is otherwise than it was; a logger that was not there before is of a library that was imported since."""
    after = state()
    after["loggers"] = {name: level for name, level in after["loggers"].items() if name in before["loggers"]}
    return [name for name in before if before[name] != after[name]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pyrovae.Run:
    """A run on the disk, after which every library is loaded: what these do when they are imported is theirs (with
    torch 2.6 the first trace of a process adds to its environment and to sys.path)."""
    import sklearn.decomposition  # noqa: F401
    import torch._inductor

    make_fx(torch.neg, tracing_mode="fake")(torch.ones(1))
    folder = tmp_path_factory.mktemp("several")
    return pyrovae.fit("vae", "digits", out=folder / "run", **SMALL)


VERBS: dict[str, Callable[[pyrovae.Run, Path], Any]] = {
    "fit": lambda run, tmp: pyrovae.fit("vae", "digits", out=tmp / "new", **SMALL),
    "fit, own pair": lambda run, tmp: pyrovae.fit(
        copy.deepcopy(run.pair), run.split("test"), epochs=1, score_samples=2, show=False
    ),
    "fit, traced": lambda run, tmp: pyrovae.fit(copy.deepcopy(run.pair), run.data, **TRACED),
    "fit, frozen": lambda run, tmp: pyrovae.fit(freeze_model=run, guide="full", epochs=1, score_samples=2, show=False),
    "load": lambda run, tmp: pyrovae.load(run.path),
    "save": lambda run, tmp: copy.copy(run).save(tmp / "again"),
    "log_likelihood": lambda run, tmp: run.log_likelihood(5, limit=9),
    "log_likelihood, refit": lambda run, tmp: refitted(run),
    "ais": lambda run, tmp: run.ais(3, 2, limit=4),
    "bdmc": lambda run, tmp: run.bdmc(3, 2, limit=4),
    "gap": lambda run, tmp: evaluation.gap(run.pair, run.split("test", 2), 30, 3, 2),
    "evaluate": lambda run, tmp: run.evaluate(samples=3, limit=40),
    "compare": lambda run, tmp: pyrovae.compare("vae", ("diagonal", "full"), data="digits", out=tmp / "c", **SMALL),
    "sample": lambda run, tmp: run.sample(4),
    "reconstruct": lambda run, tmp: run.reconstruct(4),
    "interpolate": lambda run, tmp: run.interpolate(2, 3),
    "encode": lambda run, tmp: run.encode(limit=5),
    "pictures": lambda run, tmp: pyrovae.pictures(run, tmp),
    "check": lambda run, tmp: pyrovae.check(run.pair, run.split("test", 7), run.fields),
    "selftest": lambda run, tmp: selftest("cpu", show=False),
}


def refitted(run: pyrovae.Run) -> Any:
    return evaluation.refit(run.pair, run.split("test", 2), steps=2, rounds=1)


class StopError(Exception):
    pass


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long verbs do little, and short fits are traced where they are asked to be."""
    score_quickly(monkeypatch)
    tested = sys.modules["pyrovae.testing.selftest"]
    monkeypatch.setattr(tested, "_checks", lambda *given, checks=tested._checks: itertools.islice(checks(*given), 2))
    monkeypatch.setattr(tested, "TRAIN", 200)
    monkeypatch.setattr(engine, "FEW", 30)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_leaves_the_process_as_it_found_it(verb, run, tmp_path, monkeypatch, short):
    """Where it ends well, where it fails at once, and where it fails on its way."""
    calls, stop, forward = 0, 0, torch.nn.Linear.forward

    def counted(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise StopError
        return forward(layer, x)

    monkeypatch.setattr(torch.nn.Linear, "forward", counted)
    for share in (0.0, 0.01, 0.6):  # of the layers that ran when nothing failed
        if share and calls == 0:  # none, as in load
            break
        calls, stop = 0, round(share * calls + 0.5) if share else 0
        before, folder = state(), tmp_path / str(share)
        folder.mkdir()
        try:
            VERBS[verb](run, folder)
        except StopError:
            assert stop
        else:
            assert not stop or verb in ("check", "fit, traced")  # a trace that fails is none, and Pyro runs
        assert changed(before) == []


def work(folder: Path) -> dict[str, Callable[[], Any]]:
    """Fits and scores of different pairs, in every way in which noise is drawn; each gives what must not change."""
    source = pyrovae.fit("vae", "digits", compile=False, **SMALL)
    pairs = [copy.deepcopy(source.pair) for _ in range(5)]
    x = source.split("test", 60)
    fewer = [x[0][:4]]
    options = SMALL | {"epochs": 3, "compile": False}
    own = pyrovae.fit("vae", "digits", guide="iaf:steps=1:hidden=8", **SMALL).pair
    np.save(folder / "vectors.npy", x[0].flatten(1).numpy())
    return {
        "fit vae": lambda: digest(pyrovae.fit("vae", "digits", **options).pair),
        "fit cvae": lambda: digest(pyrovae.fit("cvae", "digits", guide="full", seed=1, **options).pair),
        "fit traced": lambda: digest(pyrovae.fit(copy.deepcopy(own), source.data, **TRACED).pair),
        "fit streamed": lambda: digest(
            pyrovae.fit("vae", folder / "vectors.npy", stream=True, workers=1, **options).pair
        ),
        "log-likelihood": lambda: evaluation.log_likelihood(pairs[0], x, 300, chunk=20).log_likelihood.tolist(),
        "the same pair": lambda: evaluation.log_likelihood(pairs[0], x, 200, chunk=20).log_likelihood.tolist(),
        "AIS": lambda: evaluation.ais(pairs[1], fewer, 20, 4).log_likelihood.tolist(),
        "BDMC": lambda: evaluation.bdmc(pairs[2], fewer, 10, 4).lower.tolist(),
        "refit": lambda: evaluation.refit(pairs[3], fewer, steps=20, rounds=2).elbo.tolist(),
        "evaluate": lambda: source.evaluate(samples=20, limit=50)["log_likelihood"],
        "sample": lambda: source.sample(5).tolist(),
    }


def digest(pair: pyrovae.Pair) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in pair.state_dict().values())).hexdigest()


def at_once(jobs: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each gives in a thread of its own; a job that fails gives its exception."""
    found: dict[str, Any] = {}

    def run(name: str) -> None:
        try:
            found[name] = jobs[name]()
        except BaseException as error:
            found[name] = error

    threads = [threading.Thread(target=run, args=(name,)) for name in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.slow
def test_threads_find_the_same_bits_as_alone(tmp_path, monkeypatch, short):
    monkeypatch.setattr(turns, "SLICE", 0.002)  # more turns than in life
    jobs = work(tmp_path)
    alone = {name: job() for name, job in jobs.items()}
    before = state()
    together = at_once(jobs)
    assert [name for name in jobs if together[name] != alone[name]] == [], together
    assert changed(before) == []


class Other(threading.Thread):
    """A thread that takes a turn, notes what it finds, and keeps the turn until it is told to end."""

    def __init__(self, model: torch.nn.Module | None = None, interrupt: bool = False) -> None:
        super().__init__()
        self.model, self.interrupt = model, interrupt
        self.inside, self.end = threading.Event(), threading.Event()

    def run(self) -> None:
        with seeded(2):
            self.training = None if self.model is None else self.model.training
            self.inside.set()
            if self.interrupt:
                waiting(2)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            self.end.wait(60)


def waiting(count: int) -> None:
    """Until so many threads have a turn or wait for one."""
    while len(turns._turns.queue) < count:
        time.sleep(0.001)


@pytest.fixture
def no_slices(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.Tensor]:
    """Whoever waits goes on at once; gives the state of the generator, which is the same afterwards."""
    monkeypatch.setattr(turns, "SLICE", 0.0)
    state, answer = torch.get_rng_state(), signal.signal(signal.SIGINT, signal.default_int_handler)
    yield state  # what a job in the background inherits is that Ctrl-C is ignored
    signal.signal(signal.SIGINT, answer)
    assert torch.equal(torch.get_rng_state(), state)
    assert not turns._turns.queue


def test_a_thread_goes_on_where_it_was_and_others_see_nothing_of_it(no_slices):
    model, generator = torch.nn.Dropout().train(), torch.Generator().manual_seed(1)
    other = Other(model)
    with seeded(1), evaluating(model):
        assert torch.equal(torch.rand(3), torch.rand(3, generator=generator))
        other.start()
        waiting(2)
        other.end.set()
        turns.between()
        assert other.inside.is_set()
        assert torch.equal(torch.rand(3), torch.rand(3, generator=generator))
        assert not model.training
    other.join()
    assert other.training
    assert model.training


def test_who_is_whole_keeps_the_turn(no_slices):
    other = Other()
    with seeded(1), turns.Whole(), seeded(3):
        other.start()
        waiting(2)
        turns.between()
        assert not other.inside.is_set()
    other.end.set()
    other.join()


def test_ctrl_c_before_a_turn(no_slices):
    other = Other(interrupt=True)
    other.start()
    other.inside.wait(60)
    with pytest.raises(KeyboardInterrupt), seeded(1):
        pytest.fail("two threads had the turn")
    assert len(turns._turns.queue) == 1
    other.end.set()
    other.join()


def test_ctrl_c_between_two_turns_leaves_everything_as_it_was(no_slices):
    model, other = torch.nn.Dropout().train(), Other(interrupt=True)
    threading.Timer(0.2, other.end.set).start()

    def step() -> None:
        with evaluating(model), seeded(1):
            other.start()
            waiting(2)
            turns.between()

    with pytest.raises(KeyboardInterrupt):
        step()
    other.join()
    assert model.training


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_waits_for_nobody(no_slices):
    other = Other()
    with seeded(1):
        other.start()
        waiting(2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a fork comes beside threads
            child = os.fork()
        if child == 0:
            signal.alarm(60)
            turns.between()
            turns._turns.leave()
            with seeded(4):
                os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    other.end.set()
    other.join()


PROCESS = """
import hashlib, sys, torch, pyrovae
torch.set_num_threads(1)
mine, theirs, seed = sys.argv[1:]
fitted = pyrovae.fit("vae", "digits", out=mine, seed=int(seed), epochs=2, latent_dim=2, hidden=(8,), score_samples=2)
scores = pyrovae.load(theirs).log_likelihood(20, limit=50).log_likelihood.tolist()
weights = b"".join(tensor.numpy().tobytes() for tensor in fitted.pair.state_dict().values())
print(hashlib.sha256(weights).hexdigest(), scores)
"""


@pytest.mark.slow
def test_processes_that_fit_and_load_at_the_same_time(run, tmp_path):
    options = SMALL | {"epochs": 2}
    scores = run.log_likelihood(20, limit=50).log_likelihood.tolist()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path / str(seed)), str(run.path), str(seed)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(2)
    ]
    for seed, process in enumerate(processes):
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        assert out.strip() == f"{digest(pyrovae.fit('vae', 'digits', seed=seed, **options).pair)} {scores}"
        saved = pyrovae.load(tmp_path / str(seed))
        assert json.loads((tmp_path / str(seed) / "run.json").read_text())["results"] == saved.results
