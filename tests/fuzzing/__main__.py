"""python -m tests.fuzzing --seconds 60 --seed 0 [--target npy] [--case 17] [--keep FOLDER]"""

import argparse
import faulthandler
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from ctypes import Array, c_longlong
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from random import Random

import torch

from . import TARGETS
from .case import Case, Target
from .judge import MEMORY, SECONDS, Fault, limit_memory, outcome

PATIENCE = 9 * SECONDS
"""Seconds of the clock after which a case hangs that no signal stops."""

KINDS = ("loaded", "refused", "wrong")

Shared = Array[c_longlong]
"""The number of the present case, then how many there were of each of KINDS: without a lock, which may die locked."""


def numbered(target: Target, seed: int, number: int, folder: Path) -> Case:
    """The case of this number; each has random numbers of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return target.make(Random(f"{target.name} {seed} {number}"), folder)


def tried(target: Target, seed: int, until: float, keep: Path, shared: Shared, scratch: Path) -> None:
    """Cases from the present one on until that time; tells each kind of fault once."""
    told: set[str] = set()
    begun, number = time.monotonic(), shared[0]
    numbered(target, seed, number, scratch / "case")
    until += time.monotonic() - begun  # what all cases are copies of is made with the first one
    while time.monotonic() < until:
        number = shared[0]
        case = numbered(target, seed, number, scratch / "case")
        try:
            kind: str = outcome(target, case)
        except Fault as fault:
            kind, sort = "wrong", f"{type(fault.__cause__).__name__} {str(fault)[:40]}"
            if sort not in told:
                told.add(sort)
                where = keep / f"{target.name}-{seed}-{number}"
                case.keep(where, target.name, str(fault))
                print(f"{target.name} --seed {seed} --case {number}: {str(fault)[:300]!a}; kept in {where}", flush=True)
        shared[1 + KINDS.index(kind)] += 1
        shared[0] += 1


def alone(work: Callable[[Path], None], scratch: Path) -> None:
    """The work of a process of its own: what it makes lies in `scratch`, and it has one thread and bounded memory."""
    faulthandler.enable()
    limit_memory(4 * MEMORY)
    torch.set_num_threads(1)
    tempfile.tempdir = str(scratch)
    work(scratch)


def ended(work: Callable[[Path], None], shared: Shared, patience: float = PATIENCE) -> int | None:
    """Does the work in a process of its own.

    Returns:
        Its exit code; None where it was killed, as it had one case for too long.
    """
    with tempfile.TemporaryDirectory() as scratch:
        process = ForkProcess(target=alone, args=(work, Path(scratch)))
        process.start()
        number, since = shared[0], time.monotonic()
        while process.is_alive():
            process.join(0.2)
            if shared[0] != number:
                number, since = shared[0], time.monotonic()
            elif time.monotonic() - since > patience:
                process.kill()
                process.join()
                return None
        return process.exitcode


def run(target: Target, seed: int, seconds: float, keep: Path, patience: float = PATIENCE) -> Counter[str]:
    """Tries a target for so many seconds; a process that dies, or hangs, is a case that went wrong.

    Cases are made and tried in children alone: what has run torch may have threads, and a fork loses them.
    """
    shared, until = RawArray(c_longlong, 1 + len(KINDS)), time.monotonic() + seconds

    def keep_it(scratch: Path) -> None:
        case = numbered(target, seed, shared[0], scratch / "case")
        case.keep(keep / f"{target.name}-{seed}-{shared[0]}", target.name, why)

    while time.monotonic() < until:
        code = ended(lambda scratch: tried(target, seed, until, keep, shared, scratch), shared, patience)
        if code == 0:
            break
        why = f"no end after {patience:g} s" if code is None else f"the process ended with {code}"
        print(f"{target.name} --seed {seed} --case {shared[0]}: {why}", flush=True)
        ended(keep_it, shared, patience)
        shared[1 + KINDS.index("wrong")] += 1
        shared[0] += 1
    return Counter(dict(zip(KINDS, shared[1:], strict=True)))


def table(counts: dict[str, Counter[str]]) -> str:
    """A line a target, and one of all."""
    rows = [*counts.items(), ("all", sum(counts.values(), Counter[str]()))]
    lines = [f"{'target':8}{'cases':>9}" + "".join(f"{kind:>9}" for kind in KINDS)]
    lines += [f"{name:8}{found.total():>9,}" + "".join(f"{found[kind]:>9,}" for kind in KINDS) for name, found in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what went wrong, and the counts by target; 1 where anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases")
    parser.add_argument("--target", choices=list(TARGETS), help="this one only")
    parser.add_argument("--case", type=int, help="this case of --target only; its files stay in --keep")
    parser.add_argument("--keep", type=Path, default=Path("found"), help="where cases go that went wrong")
    given = parser.parse_args(arguments)
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    if given.case is not None:
        if given.target is None:
            parser.error("--case needs --target")
        torch.set_num_threads(1)
        target = TARGETS[given.target]
        case = numbered(target, given.seed, given.case, given.keep.resolve() / f"{target.name}-{given.case}")
        print(case, outcome(target, case))
        return 0
    chosen = [TARGETS[given.target]] if given.target else list(TARGETS.values())
    keep = given.keep.resolve()
    counts = {target.name: run(target, given.seed, given.seconds / len(chosen), keep) for target in chosen}
    print(table(counts))
    return 1 if any(found["wrong"] for found in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
