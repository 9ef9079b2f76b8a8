"""python -m tests.fuzzing --seconds 60 --seed 0 [--target npy] [--case 17] [--keep FOLDER]"""

import argparse
import faulthandler
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random

import torch

from . import TARGETS
from .case import Case, Target
from .judge import Fault, outcome


def numbered(target: Target, seed: int, number: int, folder: Path) -> Case:
    """The case of this number; each has random numbers of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return target.make(Random(f"{target.name} {seed} {number}"), folder)


def tried(target: Target, seed: int, first: int, until: float, keep: Path, at: "Synchronized[int]") -> Counter[str]:
    """Cases from `first` on until that time: how many loaded, were refused, went wrong."""
    counts: Counter[str] = Counter()
    told: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        number = first
        while time.monotonic() < until:
            at.value = number
            case = numbered(target, seed, number, Path(scratch, "case"))
            try:
                counts[outcome(target, case)] += 1
            except Fault as fault:
                counts["wrong"] += 1
                kind = f"{type(fault.__cause__).__name__} {str(fault)[:40]}"
                if kind not in told:
                    told.add(kind)
                    where = keep / f"{target.name}-{seed}-{number}"
                    case.keep(where, target.name, str(fault))
                    print(
                        f"{target.name} --seed {seed} --case {number}: {str(fault)[:300]!a}; kept in {where}",
                        flush=True,
                    )
            number += 1
    return counts


def child(
    target: Target, seed: int, first: int, until: float, keep: Path, at: "Synchronized[int]", queue: object
) -> None:
    """In a process of its own, so that one that dies is counted, too."""
    faulthandler.enable()
    torch.set_num_threads(1)
    queue.put(tried(target, seed, first, until, keep, at))  # type: ignore[attr-defined]


def run(target: Target, seed: int, seconds: float, keep: Path) -> Counter[str]:
    """Tries a target for so many seconds; a process that dies is a case that went wrong."""
    fork = multiprocessing.get_context("fork")
    at, counts, until, first = fork.Value("q", 0), Counter[str](), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        queue = fork.SimpleQueue()
        process = fork.Process(target=child, args=(target, seed, first, until, keep, at, queue))
        process.start()
        process.join()
        if process.exitcode == 0:
            return counts + queue.get()
        print(f"{target.name} --seed {seed} --case {at.value}: the process ended with {process.exitcode}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            case = numbered(target, seed, at.value, Path(scratch, "case"))
            case.keep(keep / f"{target.name}-{seed}-{at.value}", target.name, f"exit code {process.exitcode}")
        counts["wrong"] += 1
        first = at.value + 1
    return counts


def main() -> int:
    """Prints what went wrong, and the counts by target; 1 where anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases")
    parser.add_argument("--target", choices=list(TARGETS), help="this one only")
    parser.add_argument("--case", type=int, help="this case of --target only; its files stay in --keep")
    parser.add_argument("--keep", type=Path, default=Path("found"), help="where cases go that went wrong")
    given = parser.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    if given.case is not None:
        target = TARGETS[given.target]
        case = numbered(target, given.seed, given.case, given.keep.resolve() / f"{target.name}-{given.case}")
        print(case, outcome(target, case))
        return 0
    chosen = [TARGETS[given.target]] if given.target else list(TARGETS.values())
    keep = given.keep.resolve()
    counts = {target.name: run(target, given.seed, given.seconds / len(chosen), keep) for target in chosen}
    parts = [
        f"{name} {found.total():,} ({found['loaded']:,} loaded, {found['refused']:,} refused, {found['wrong']} wrong)"
        for name, found in counts.items()
    ]
    print(f"{sum(found.total() for found in counts.values()):,} cases: {'; '.join(parts)}")
    return 1 if any(found["wrong"] for found in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
