"""`fit`: from a pair and data to a run."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack, overload

import torch

from pyrovae.config import Settings
from pyrovae.data.dataset import Dataset
from pyrovae.data.raw import DataSpec
from pyrovae.errors import UsageError
from pyrovae.objectives.choose import objective
from pyrovae.pairs.alone import alone, require_default_device
from pyrovae.pairs.pair import ModelSpec, Pair
from pyrovae.pairs.parameters import placed
from pyrovae.runs import directory, tensors
from pyrovae.runs.claim import locked, require_free
from pyrovae.runs.run import Run
from pyrovae.runs.saving import header
from pyrovae.runs.settings import to_toml
from pyrovae.runs.texts import Metrics
from pyrovae.runtime import devices, memory
from pyrovae.runtime.progress import Progress, progress
from pyrovae.runtime.ranks import together, world
from pyrovae.runtime.seeding import seeded
from pyrovae.svi.precision import tf32
from pyrovae.training import freezing, resuming
from pyrovae.training.advice import concerns, notes
from pyrovae.training.decided import of_data, of_pair, of_training
from pyrovae.training.journal import Journal, Unwritten
from pyrovae.training.listener import Listener, OnEpoch, require_callable, unheard
from pyrovae.training.loop import train
from pyrovae.training.order import require_one_each
from pyrovae.training.plan import Plan, dataset_for, pair_for, recipe_for
from pyrovae.training.scores import outcome, scores, unused
from pyrovae.training.trial import tried
from pyrovae.training.typed import FitSettings


@overload
def fit(
    model: str | Pair | None = None,
    data: DataSpec | None = None,
    guide: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    show: Progress | bool | None = None,
    freeze_model: str | Path | Run | None = None,
    trust: bool = False,
    resume: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    **settings: Unpack[FitSettings],
) -> Run: ...


@overload
def fit(
    model: Callable[..., Pair],
    data: DataSpec | None = None,
    guide: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    show: Progress | bool | None = None,
    freeze_model: str | Path | Run | None = None,
    trust: bool = False,
    resume: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    **settings: object,
) -> Run: ...


def fit(  # type: ignore[misc]  # the options of a function are its own
    model: ModelSpec | None = None,
    data: DataSpec | None = None,
    guide: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    show: Progress | bool | None = None,
    freeze_model: str | Path | Run | None = None,
    trust: bool = False,
    resume: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    **settings: Unpack[FitSettings],
) -> Run:
    """Trains a pair by stochastic variational inference and scores it on the test split.

        run = pyrovae.fit("cvae", data="digits", guide="iaf", epochs=20, latent_dim=10)
        run = pyrovae.fit(pyrovae.Pair(Model(), Guide()), data=x, batch_size=100)
        run = pyrovae.fit(MyVAE, data=x, latent_dim=3)    # def MyVAE(fields, latent_dim: int = 2) -> pyrovae.Pair
        better = pyrovae.fit(guide="iaf", freeze_model="runs/cvae-digits")      # the model of that run, another guide
        run = pyrovae.fit(resume="runs/cvae-digits")                            # a fit that was stopped goes on

    Args:
        model: the name of a variant (`pyrovae models`), your own `my_model.py:MyVAE`, or in Python a class or function
            that gives a Pair: its parameters are options, and it is given `fields`, the fields of the data
            (`fields["x"].shape`), and `family`, what `guide` names, where it asks for them. Or a Pair, which is trained
            in place.
        data: a name (`pyrovae data`), a path, or tensors, see `pyrovae.data.load`; None takes the variant's default.
        guide: spec of a guide family (`pyrovae guides`), `iaf` or `iaf:steps=4`; None takes the variant's default.
        out: the run directory; None writes nothing (`run.save(path)` does, later).
        overwrite: replace the run that is in `out`.
        show: where progress goes; None is stderr, False is nowhere.
        freeze_model: a run, or its directory: its model keeps its weights and stays in eval mode, and only the guide
            is trained. Model, data and their options are those of that run and need not be given; the guide and the
            options of training are, where they are not given.
        trust: run the user's own Python file where the run of `freeze_model` or `resume` names one.
        resume: a run directory whose fit was stopped, by Ctrl-C, a signal or a crash: it goes on from its last
            checkpoint, on a CPU with as many threads to the same bits as if it had never stopped. Only `epochs` (more
            than before), `device`, `data_root`, `download`, `workers`, `checkpoint_every` and `max_memory` may be given
            with it; and the pair and the tensors, where those were handed over in Python.
        on_epoch: called once an epoch, after it was scored, with its metrics by name (`epoch`, `step`, `train_elbo`,
            `valid_elbo`, `rate`, `distortion`, `lr`, `kl_weight`, ...; those of metrics.jsonl), by the first process
            alone. All that a tracker needs: `on_epoch=wandb.log`. Nothing of the fit follows from it; an error in it
            ends the fit after a checkpoint, and KeyboardInterrupt as Ctrl-C does. Epochs that a fit does again after
            a crash are told again.
        settings: options of the variant, of the data and of training, by name: `help(pyrovae.FitSettings)` lists all
            of them with types and defaults. (A type checker knows those of your own code where a class or function is
            handed over, not where it is named.)

    Returns:
        The run, with the weights of the best held-out ELBO; `run.results["stopped"]` is `interrupted` after Ctrl-C.

    Raises:
        UsageError: for a name, an option or a value that does not fit, or a run directory that exists.
        PyrovaeError: where the data or the pair cannot be trained on; nothing is written then. Where the directory
            cannot be written any more; the last checkpoint is whole then.
    """
    if torch.is_inference_mode_enabled():
        raise UsageError("training takes gradients, which torch.inference_mode() forbids: call fit outside of it")
    require_default_device()
    if on_epoch is not None:
        require_callable(on_epoch)
    own = model if isinstance(model, Pair) else None
    if resume is not None:
        given = {"guide": guide, "out": out, "freeze_model": freeze_model, "overwrite": overwrite or None}
        if foreign := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"{foreign[0]} is as it was in the run that is resumed: leave it out")
        if isinstance(model, str):
            raise UsageError("the model is as it was in the run that is resumed: leave it out")
        if not (Path(resume) / directory.RUN).is_file():
            raise directory.no_run(Path(resume))
        with _held(Path(resume)):  # nothing is read that another fit is about to write
            plan = resuming.plan(resume, model, data, trust, settings)
            return _fit(plan, overwrite, show, on_epoch)
    source = None if freeze_model is None else freezing.source_of(freeze_model, trust)
    recipe, variant = recipe_for(model, data, guide, source, settings)
    folder = None if out is None or world().rank else Path(out)
    if folder is not None:
        require_free(folder, overwrite)
    plan = Plan(recipe, variant, dataset_for(data, recipe, variant, source), folder, own, source)
    with _held(folder):
        return _fit(plan, overwrite, show, on_epoch)


def _held(folder: Path | None) -> contextlib.AbstractContextManager[None]:
    """The lock of the run directory, which the first process has."""
    return contextlib.nullcontext() if folder is None or world().rank else locked(folder)


def _fit(plan: Plan, overwrite: bool, show: Progress | bool | None, on_epoch: OnEpoch | None) -> Run:
    """What a plan says, in a directory that is locked."""
    config, folder, dataset = plan.recipe.training, plan.folder, plan.dataset
    device = devices.find(config.device)
    require_one_each(dataset, config)
    together()  # no process reads what the first one is about to write
    own = plan.pair is not None or (plan.variant is not None and plan.variant.own)
    precision = alone(dtype=None if own else torch.float32)
    with memory.limited(config.max_memory, device), precision, seeded(config.seed, device):
        pair, recipe = pair_for(plan, device)
        with _shown(show) as shown, alone(pair):
            shown.line(of_data(dataset))
            for note in [*notes(dataset, recipe), *plan.notes]:
                shown.line(f"note: {note}")
            told = tried(pair, dataset, config, device) if pair.own else []
            shown.line(of_pair(pair, recipe, dataset))
            shown.line(of_training(recipe, dataset, device))
            for warning in told:
                shown.line(f"warning: {warning}")
            journal: Journal | Unwritten = Unwritten()
            if folder is not None:
                head = header(recipe, pair.inputs, dataset.fields, dataset.description, "training", None)
                journal = Journal(folder, head, to_toml(recipe), dataset.vocabulary, plan.start)
            with journal.open(), tf32(config.precision):
                trained = train(
                    pair,
                    dataset,
                    config,
                    device,
                    shown,
                    journal.epoch,
                    journal.checkpoint,
                    frozen_model=recipe.frozen is not None,
                    start=plan.start,
                    tell=_listener(on_epoch, device, folder),
                )
            tensors.set_weights(pair, trained.best)
            pair.eval()
            run = Run(
                pair,
                recipe,
                dataset.fields,
                dataset.description,
                trained.metrics,
                outcome(trained, pair),
                data=dataset,
                vocabulary=dataset.vocabulary,
                path=journal.path,
                status="training" if trained.stopped == "interrupted" else "trained",
                last=trained.last,
            )
            journal.trained(run, overwrite)
            if trained.stopped != "interrupted":
                scored = dataclasses.replace(run.outcome, test=scores(run, config, shown))
                without = unused(run, config)
                late = run.scored.broken if run.scored is not None else ()
                warnings = [each for each in late if each not in told] + concerns(run.metrics, scored, config, without)
                for warning in warnings:
                    shown.line(f"warning: {warning}")
                run.results, run.status = dataclasses.replace(scored, warnings=(*told, *warnings)), "done"
                journal.done(run, shown)
    return run


def rehearse(
    model: ModelSpec | None, guides: Sequence[str], data: DataSpec | None, source: Run | None, settings: Settings
) -> None:
    """Does all that fits of a model with these guides do before they train, and leaves everything as it was.

    Raises:
        UsageError, PyrovaeError: as `fit`.
    """
    dataset: Dataset | None = None
    for guide in guides:
        recipe, variant = recipe_for(model, data, guide, source, settings)
        device = devices.find(recipe.training.device)
        dataset = dataset or dataset_for(data, recipe, variant, source)
        with seeded(recipe.training.seed, device):
            own = model if isinstance(model, Pair) else None
            pair, _ = pair_for(Plan(recipe, variant, dataset, None, own, source), device)
            batch = placed(pair, dataset.split("valid", pair.inputs, 2))
            objective(pair, batch, recipe.training)


def _listener(
    on_epoch: OnEpoch | None, device: torch.device, folder: Path | None
) -> Callable[[Metrics, Callable[[], None]], None]:
    if on_epoch is None or world().rank:
        return unheard  # the first process speaks for all
    return Listener(on_epoch, device, None if folder is None else f"pyrovae.fit(resume={str(folder)!r})")


def _shown(show: Progress | bool | None) -> Progress:
    if world().rank:
        return progress(False)  # the first process speaks for all
    return show if isinstance(show, Progress) else progress(show)
