"""One optimisation step: `python -m benchmarks.step [wide|deep|iaf|iwae|dreg ...]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.measure import Contestant, alternate, as_json, show, write
from benchmarks.peers import by_hand, ours, pyro_svi
from benchmarks.setting import DEEP, FLOW, WIDE, Setting, build, held_out_images, images, pixels
from pyrovae.data.dataset import Dataset
from pyrovae.pairs.pair import Pair

K = 50
SETTINGS = {"wide": WIDE, "deep": DEEP, "iaf": FLOW, "iwae": DEEP, "dreg": DEEP}


def contestants(case: str, setting: Setting, dataset: Dataset, device: str, peers: bool) -> list[Contestant]:
    """All that take part in a case."""
    x, test = pixels(dataset, device), held_out_images(dataset)

    def pair() -> Pair:
        return build(setting, dataset).to(device)

    if case in ("iwae", "dreg"):
        options: dict[str, Any] = {"objective": case, "particles": K}
        found = [pyro_svi.step(setting, pair(), x, test, K)] if case == "iwae" else []
        tiers = ("eager", "traced", "compiled")
        return found + [ours.step(setting, pair(), dataset, x, test, tier, **options) for tier in tiers]
    found = [pyro_svi.step(setting, pair(), x, test)]
    if case != "iaf":
        found = [
            *by_hand.limits(setting, device),
            *(by_hand.step(setting, x, test, how) for how in (None, "loss", "whole")),
            *found,
        ]
        if peers:
            from benchmarks.peers import numpyro_vae

            found += [numpyro_vae.step(setting, x, test, how) for how in ("jit", "scan")]
    found += [ours.step(setting, pair(), dataset, x, test, tier) for tier in ("eager", "traced", "compiled")]
    if case != "iaf":
        found.append(ours.step(setting, pair(), dataset, x, test, "compiled", "bf16"))
    return found


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(list(SETTINGS)))
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), help="Folder of MNIST; else images made up.")
@click.option("--blocks", default=15, show_default=True, help="Blocks of each contestant.")
@click.option("--repeats", default=50, show_default=True, help="Steps of a block, a multiple of 50.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--peers/--no-peers", default=True, show_default=True, help="NumPyro beside the rest.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(
    cases: tuple[str, ...],
    data_root: Path | None,
    blocks: int,
    repeats: int,
    device: str,
    peers: bool,
    out: Path | None,
) -> None:
    """Time one step of training beside the peers, by turns in one run."""
    dataset, results = images(data_root), {}
    for case in cases or SETTINGS:
        setting = SETTINGS[case]
        torch.compiler.reset()
        rows = alternate(contestants(case, setting, dataset, device, peers), blocks, repeats)
        base = {"iaf": "pyro.infer.SVI.step", "iwae": "pyrovae eager", "dreg": "pyrovae eager"}.get(
            case, "PyTorch eager"
        )
        steps = (blocks + 1) * repeats
        what = f", K = {K}" if case in ("iwae", "dreg") else ""
        show(f"{case}: {setting}{what}; ELBO after about {steps} steps", rows, base)
        results[case] = {"setting": str(setting), "rows": as_json(rows)}
    write(out, {"command": "step", "cases": results})


if __name__ == "__main__":
    main()
