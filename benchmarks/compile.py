"""Seconds of lowering, with inductor's cache empty and filled: `python -m benchmarks.compile`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.measure import write

CASES = {
    "784-400-20, batch 128": "vae --hidden 400 --latent-dim 20",
    "784-200-200-50, batch 128": "vae --latent-dim 50",
    "the same, guide iaf": "vae --latent-dim 50 --guide iaf",
    "convolutional": "vae --net conv",
    "cvae": "cvae",
    "iaf (ResNet)": "iaf",
}

ONCE = """
import json, sys, time
sys.argv = sys.argv[:1]
import torch, pyrovae
from benchmarks.setting import images
from pyrovae import registry
from pyrovae.lowering import engine as tiers
from pyrovae.svi import Optimizer, Step
from pyrovae.objectives.elbo import ELBO
from pyrovae.training import examples
words = {words!r}.split()
options = dict(zip((w[2:].replace("-", "_") for w in words[1::2]), words[2::2]))
guide, variant = options.pop("guide", "diagonal"), registry.variant(words[0])
data = images(None)
columns = {{"x": data.columns["train"]["x"], "y": torch.arange(60_000) % 10}}
fields = {{**data.fields, "y": pyrovae.data.Field((), "category", size=10)}}
config = variant.config.model_validate({{k: v.split(",") if k == "hidden" else v for k, v in options.items()}})
pair = variant.build(config, fields, registry.family(guide)).train()
step = Step(ELBO(pair), Optimizer(list(pair.parameters())), lambda rows: data.batch(rows, pair.inputs))
one = torch.ones(())
found, tiers.COMPILE_SECONDS = {{}}, float("inf")  # traced unless it is told to compile
for compile in (None, True):
    engine = step.lower(examples(columns, 128), 2000, compile)
    step({{name: column[:128] for name, column in columns.items()}}, one / 1000, one, one)
    found[engine.tier] = engine.seconds
print(json.dumps(found))
"""


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(out: Path | None) -> None:
    """Lower a step in a fresh process: with an empty cache, then again."""
    table, results = Table(title="seconds until the first step runs", title_justify="left"), {}
    for column in ("", "traced", "compiled, empty cache", "compiled, filled cache"):
        table.add_column(column, justify="right" if column else "left")
    for name, words in CASES.items():
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (_seconds(words, cache) for _ in range(2))
        results[name] = {"cold": cold, "warm": warm}
        row = [cold["traced"], cold.get("compiled"), warm.get("compiled")]
        table.add_row(name, *("-" if seconds is None else f"{seconds:.1f}" for seconds in row))
    Console(width=120).print(table)
    write(out, {"command": "compile", "cases": results})


def _seconds(words: str, cache: str) -> dict[str, float]:
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
    command = [sys.executable, "-c", ONCE.format(words=words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    main()
