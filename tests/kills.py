"""Fits that are killed at random times and resumed, compared bit for bit with fits that were never stopped.

    python -m tests.kills --count 100 --seed 1

The process forks: a child fits, or resumes, and gets SIGKILL after a random share of the time that a whole fit takes.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

import pyrovae
from pyrovae.lowering import engine
from pyrovae.runs import pictures

FITS = {  # name -> model, options; what a checkpoint must keep is in one of them
    "vae": ("vae", {"hidden": (16,), "latent_dim": 3, "kl_warmup": 4, "schedule": "linear", "patience": 3, "lr": 0.02}),
    "cvae": ("cvae", {"hidden": (16,), "latent_dim": 3, "optimizer": "adamax", "clip": 1.0, "free_bits": 0.1}),
    "iaf": ("iaf", {"widths": (4, 4), "context": 9, "latent_dim": 3, "objective": "iwae", "particles": 3}),
    "textvae": ("textvae", {"hidden": 9, "embedding": 6, "latent_dim": 3, "word_dropout": 0.3, "kl_warmup": 2}),
    "flow": ("vae", {"guide": "iaf:steps=2:hidden=8", "hidden": (16,), "kl_cycles": 2, "kl_warmup": 2}),
}

COMMON = {
    "epochs": 6,
    "batch_size": 24,
    "limit_train": 100,
    "held_out": 40,
    "score_samples": 2,
    "score_limit": 20,
    "device": "cpu",
    "checkpoint_every": "4",
    "show": False,
}


def fit(name: str, out: Path, resume: bool) -> None:
    """Starts a fit, or goes on with it."""
    if resume:
        pyrovae.fit(resume=out, show=False)
    else:
        model, options = FITS[name]
        pyrovae.fit(model, out=out, **COMMON, **options)


def killed(name: str, out: Path, after: float | None) -> bool:
    """Fits in a child, which is killed after so many seconds; whether it was."""
    resume = (out / "run.json").is_file()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            fit(name, out, resume)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit(f"{name}: a fit in {out} failed")
    return os.WIFSIGNALED(status)


def is_done(out: Path) -> bool:
    """Whether a fit has written the last of it."""
    return (out / "run.json").is_file() and json.loads((out / "run.json").read_text())["status"] == "done"


def state(out: Path) -> dict:
    """What must be equal: weights, metrics but their seconds, the epoch that was chosen, the scores."""
    content = json.loads((out / "run.json").read_text())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["train_seconds"]
    return {
        "weights": content["files"]["weights"]["sha256"],
        "metrics": lines,
        "results": {key: value for key, value in content["results"].items() if "seconds" not in key},
        "status": content["status"],
    }


def main(count: int, seed: int, root: Path) -> dict[str, int]:
    """Kills at least so many fits, evenly over pairs and tiers; says how many ended as if they were never stopped."""
    torch.set_num_threads(1)
    pictures.pictures = lambda run, folder: []  # they take longer than these fits
    chance, tally = random.Random(seed), {"kills": 0, "before the first checkpoint": 0, "fits": 0, "bit for bit": 0}
    share = -(-count // (2 * len(FITS)))
    for few in (10**9, 0):
        engine.FEW = few  # calls below which nothing is lowered: eager, then traced
        fit("vae", root / "first", False)  # in this process, so that its children have all libraries
        shutil.rmtree(root / "first")
        for name in FITS:
            started = time.monotonic()
            fit(name, root / "whole", False)
            whole, left, expected = time.monotonic() - started, share, state(root / "whole")
            while left or (root / "run").is_dir():
                if killed(name, root / "run", chance.uniform(0, whole) if left else None):
                    left -= 1
                    tally["kills"] += 1
                    tally["before the first checkpoint"] += not (root / "run" / "state").is_dir()
                if is_done(root / "run"):  # which it may have been when it was killed
                    tally["fits"] += 1
                    if state(root / "run") == expected:
                        tally["bit for bit"] += 1
                    else:
                        print(f"{name} is not bit for bit the same", file=sys.stderr)
                    shutil.rmtree(root / "run")
            shutil.rmtree(root / "whole")
    return tally


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(main(given.count, given.seed, Path(folder))))
