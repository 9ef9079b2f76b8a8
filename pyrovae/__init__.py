"""pyrovae: a workbench for variational autoencoders written as Pyro model/guide pairs.

    run = pyrovae.fit("vae", data="digits", epochs=20, out="runs/vae")  # trains, scores and saves
    run = pyrovae.load("runs/vae")
    run.log_likelihood(samples=1000)  # log p(x) of the test split, nats, and how far to trust it
    run.evaluate()                    # ELBO, rate, active units, what z carries
    run.gap(limit=4)                  # log p(x) - ELBO, taken apart
    run.sample(16), run.reconstruct(8), run.interpolate(4), run.encode("test")
    run.on(x).log_likelihood()        # data that were not in the run
    pyrovae.pictures(run, "pictures")
    pyrovae.compare("vae", ("diagonal", "iaf"), data="digits").table
    pyrovae.check(pair, batch)        # the laws that a pair of your own obeys

`help(pyrovae.fit)` has the arguments of a fit, `help(pyrovae.FitSettings)` its options, with types and defaults;
`pyrovae models` lists the models. Write p and q as a `pyrovae.Pair`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pyrovae._version import __version__
from pyrovae.runtime.threads import spin_briefly

if TYPE_CHECKING:
    from pyrovae import data as data
    from pyrovae import evaluation as evaluation
    from pyrovae import nets as nets
    from pyrovae import plots as plots
    from pyrovae import registry as registry
    from pyrovae.comparison import compare as compare
    from pyrovae.data.dataset import Dataset as Dataset
    from pyrovae.errors import PyrovaeError as PyrovaeError
    from pyrovae.errors import UsageError as UsageError
    from pyrovae.evaluation import LogLikelihood as LogLikelihood
    from pyrovae.evaluation import log_likelihood as log_likelihood
    from pyrovae.objectives.elbo import ELBO as ELBO
    from pyrovae.pairs.pair import Pair as Pair
    from pyrovae.runs.loading import load as load
    from pyrovae.runs.pictures import pictures as pictures
    from pyrovae.runs.run import Run as Run
    from pyrovae.testing import check as check
    from pyrovae.training.fit import fit as fit
    from pyrovae.training.typed import CompareSettings as CompareSettings
    from pyrovae.training.typed import FitSettings as FitSettings

# Loaded when they are first used, so that `pyrovae --help` waits for no torch.
_HOMES = {
    "ELBO": "pyrovae.objectives.elbo",
    "CompareSettings": "pyrovae.training.typed",
    "Dataset": "pyrovae.data.dataset",
    "FitSettings": "pyrovae.training.typed",
    "LogLikelihood": "pyrovae.evaluation",
    "Pair": "pyrovae.pairs.pair",
    "PyrovaeError": "pyrovae.errors",
    "Run": "pyrovae.runs.run",
    "UsageError": "pyrovae.errors",
    "check": "pyrovae.testing",
    "compare": "pyrovae.comparison",
    "fit": "pyrovae.training.fit",
    "load": "pyrovae.runs.loading",
    "log_likelihood": "pyrovae.evaluation",
    "pictures": "pyrovae.runs.pictures",
}

_ROOMS = ("data", "evaluation", "nets", "plots", "registry")
"""Modules that are reached as attributes, too."""

__all__ = ["__version__", "data", *_HOMES]


spin_briefly()


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"pyrovae.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'pyrovae' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion, whether they are loaded yet or not; and what Python keeps of a module."""
    return sorted({*__all__, *_ROOMS, *(name for name in globals() if name.startswith("__"))})
