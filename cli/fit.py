"""Train a model with a guide; save the run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae import registry
from pyrovae.cli._arguments import Names, RunFolder
from pyrovae.cli._fits import configs, fits, folder_of, frozen, require, require_named, settings_of
from pyrovae.cli._model_command import ModelCommand
from pyrovae.cli._output import accuracy_line, likelihood_line, print_json, print_note, print_table
from pyrovae.cli._trust import show_code
from pyrovae.config import Options
from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.registry.names import known
from pyrovae.runs.claim import require_free
from pyrovae.runs.inspection import require_run

if TYPE_CHECKING:
    from pyrovae.runs.outcome import Outcome
    from pyrovae.runs.run import Run

SECTION = "Fit"
PLACE = 1


@click.command(
    cls=ModelCommand,
    configs=configs,
    epilog="""\b
Examples:
  pyrovae fit --model vae --guide iaf:steps=4 --data mnist --data-root DIR --epochs 10
  pyrovae fit --resume runs/cvae-digits

`pyrovae fit --model NAME --help` lists the options of that model.""",
)
@fits(
    "The run directory [default: runs/MODEL-DATA, or -2, -3, ... behind it].",
    "run",
    click.option(
        "--guide",
        metavar="SPEC",
        type=Names("guides", several=True),
        help="A guide family (`pyrovae guides`), with options: iaf:steps=4; or one a site: z1=iaf,z2=full.",
    ),
    click.option(
        "--resume",
        metavar="RUN",
        type=RunFolder(),
        help="Go on with the fit of this run from its last checkpoint; beside it only --epochs (more than before), "
        "--device, --data-root, --download, --workers, --checkpoint-every and --max-memory.",
    ),
)
def command(
    model: str | None,
    guide: str | None,
    resume: Path | None,
    data: str | None,
    out: Path | None,
    overwrite: bool,
    freeze_model: str | None,
    trust: bool,
    config: Path | None,
    quiet: bool,
    as_json: bool,
    **options: object,
) -> None:
    """Train a model with a guide by stochastic variational inference; save the run."""
    own = {"model": model, "guide": guide, "data": data, "out": out, "freeze_model": freeze_model}
    settings = settings_of(config, options | own)
    if resume is not None:
        _require_resumed(resume, settings, overwrite, trust)
        from pyrovae.runtime.ranks import joined

        with joined():
            return _report(_resumed(resume, settings, trust, quiet), resume, as_json)
    model, guide, data, freeze_model = (settings.pop(name, None) for name in ("model", "guide", "data", "freeze_model"))
    if model is None and freeze_model is None:
        raise UsageError(f"which model? --model {'|'.join(known('models'))}, or your own my_model.py:MyVAE")
    named = {name: value for name, value in settings.items() if name != "out"}
    require(model, [] if guide is None else [guide], data, named, freeze_model, trust)
    require_named(settings, overwrite)
    if (folder := settings.get("out")) is not None and os.environ.get("RANK", "0") == "0":
        require_free(Path(folder), overwrite)

    source = frozen(freeze_model, trust)
    variant = registry.variant(model or source.recipe.model)  # type: ignore[union-attr, arg-type]
    shown = data or (variant.data if source is None else source.recipe.data) or "data"
    out = folder_of(settings, variant.name, shown)

    from pyrovae.runtime.progress import notes_only
    from pyrovae.runtime.ranks import joined
    from pyrovae.training.fit import fit

    with joined():
        run = fit(model, data, guide, out, overwrite, notes_only() if quiet else None, source, **settings)
        return _report(run, out, as_json)


def _require_resumed(resume: Path, settings: Options, overwrite: bool, trust: bool) -> None:
    named = [name for name in ("model", "guide", "data", "out", "freeze_model") if settings.get(name) is not None]
    for name in [*named, *(["overwrite"] if overwrite else [])]:
        option = f"--{name.replace('_', '-')}"
        raise UsageError(f"{option} is as it was in {resume}, which is resumed: leave it out")
    require_run(resume, trust)


def _resumed(resume: Path, settings: Options, trust: bool, quiet: bool) -> "Run":
    if trust:
        show_code(resume)

    from pyrovae.runtime.progress import notes_only
    from pyrovae.training.fit import fit

    return fit(show=notes_only() if quiet else None, trust=trust, resume=resume, **settings)


def _report(run: "Run", out: Path, as_json: bool) -> None:
    from pyrovae.runtime.ranks import world

    if world().rank:
        return
    outcome = run.outcome
    if outcome.stopped == "interrupted":
        kept = (
            f"what was in {out} before stays"
            if run.path is None
            else f"the weights are in {out}, and `pyrovae fit --resume {out}` goes on"
        )
        print_note(f"stopped by Ctrl-C after {outcome.epochs} epochs; {kept}")
        raise click.exceptions.Exit(130)
    pictures = sorted(path.name for path in out.glob("*.png"))
    if as_json:
        print_json({"run": str(out), **outcome, "pictures": pictures})
    else:
        print_table(("", ""), _rows(outcome, out, pictures))
    if outcome.stopped == "diverged":
        raise PyrovaeError(
            f"training was stopped after {outcome.steps} steps, of which {outcome.skipped_steps} were skipped; "
            f"the weights in {out} are the last good ones. What is not finite: {outcome.why}"
        )


def _rows(outcome: "Outcome", out: Path, pictures: list[str]) -> list[tuple[str, object]]:
    test = outcome.test
    assert test is not None
    stopped = {"patience": " (early stopping)", "diverged": " (stopped: numbers were not finite)"}
    ran = outcome.engine + (", CUDA graph" if outcome.cuda_graph else "")
    lowering = f", {outcome.lowering_seconds:.1f} of them before the first step" if ran != "eager" else ""
    rows: list[tuple[str, object]] = [
        ("run directory", out),
        ("test ELBO", f"{test.elbo:.3f} nats (rate {test.rate:.2f}, distortion {test.distortion:.2f})"),
        ("log-likelihood", likelihood_line(outcome)),
        *([("", verdict)] if (verdict := test.likelihood.get("verdict")) else []),
        *([("baseline", f"{floor.log_likelihood:.3f} nats ({floor.name})")] if (floor := test.baseline) else []),
        *([("accuracy", accuracy_line(test.accuracy))] if test.accuracy is not None else []),
        ("best epoch", f"{outcome.best_epoch} of {outcome.epochs}{stopped.get(outcome.stopped, '')}"),
        ("parameters", f"{outcome.parameters:,}"),
        ("seconds", f"{outcome.train_seconds:.1f} training ({ran}{lowering}), {test.seconds:.1f} scoring"),
        ("pictures", ", ".join(pictures) or "none"),
    ]
    if outcome.inner_steps:
        rows.append(("steps", f"{outcome.steps:,} of the model, {outcome.inner_steps:,} of the guide before them"))
    if outcome.skipped_steps:
        rows.append(("skipped steps", f"{outcome.skipped_steps}: their loss or gradients were not finite"))
    return rows
