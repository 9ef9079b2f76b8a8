"""python -m tests.search --count 3000 --seed 0 [--kinds flows,chain] [--method is, elbo or ais]"""

import argparse
import json
import time

import torch

from . import KINDS
from .judge import METHODS, Summary, tried


def main() -> int:
    """Tells what is wrong as it is found, and how many there were of each; 1 where there was one, or where less than
    95 % of the sound ones are trusted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--method", choices=METHODS, default="is")
    parser.add_argument("--unsure", action="store_true", help="tell sound ones that are not trusted, too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names, summary, begun = given.kinds.split(","), Summary(), time.monotonic()
    for seed in range(given.seed, given.seed + given.count):
        kind = names[seed % len(names)]
        try:
            found = tried(KINDS[kind], seed, given.method)
        except Exception as error:
            raise RuntimeError(f"kind {kind}, seed {seed}") from error
        if found is None:
            continue
        summary.add(found)
        if found.wrong or (given.unsure and found.sound and not found.trusted):
            print(found, flush=True)
    counts = {name: summary.counts[name] for name in sorted(summary.counts)}
    figures = {"wrong": len(summary.wrong), "sound and trusted": round(summary.share, 4)}
    print(json.dumps({**figures, **counts, "seconds": round(time.monotonic() - begun)}))
    return int(bool(summary.wrong) or summary.share < 0.95)


if __name__ == "__main__":
    raise SystemExit(main())
