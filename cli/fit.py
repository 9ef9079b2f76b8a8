"""`pyrovae fit`: train a model with a guide and save the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pyrovae import registry
from pyrovae.cli._options import ModelCommand, debug_option, json_option
from pyrovae.cli._output import likelihood_line, print_json, print_table
from pyrovae.config import Config, read_toml, refuse_unknown
from pyrovae.data.options import DataConfig
from pyrovae.errors import UsageError
from pyrovae.options import TrainConfig

TEXTS = ("model", "guide", "data", "out")


def configs(model: str | None) -> Mapping[str, type[Config]]:
    """The options of fit: those of the model that is named, of training and of the data."""
    if model is None:
        return {"Training": TrainConfig, "Data": DataConfig}
    variant = registry.variant(model)
    return {f"Options of {model}": variant.config, "Training": variant.training, "Data": DataConfig}


def next_free(model: str, data: str, root: Path = Path("runs")) -> Path:
    """runs/cvae-digits, or runs/cvae-digits-2 and so on where there is one."""
    name = f"{Path(model.rpartition(':')[2]).stem}-{Path(data).stem}"
    path, count = root / name, 2
    while path.exists():
        path, count = root / f"{name}-{count}", count + 1
    return path


def settings_of(config: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """What was set: the command line over the TOML file."""
    given = {key: value for key, value in options.items() if value is not None}
    if config is None:
        return given
    from_file = read_toml(config)
    for key, value in from_file.items():
        if isinstance(value, dict):
            raise UsageError(f"config file {config}: [{key}] is a table: write all keys at the top level")
        if key in TEXTS and not isinstance(value, str):
            raise UsageError(f'config file {config}: {key} = {value!r} is no text: write {key} = "..."')
    return from_file | given


def refuse_foreign(settings: dict[str, Any], variant: registry.Variant) -> None:
    """Raises UsageError for a key of a TOML file that is no option of the model, of training or of the data."""
    known = [*variant.config.model_fields, *TrainConfig.model_fields, *DataConfig.model_fields]
    refuse_unknown(settings, known, f"model {variant.name}")


@click.command(
    cls=ModelCommand,
    configs=configs,
    epilog="""\b
Examples:
  pyrovae fit --model cvae
  pyrovae fit --model vae --guide iaf:steps=4 --data mnist --data-root DIR --epochs 10

`pyrovae fit --model NAME --help` lists the options of that model.""",
)
@click.option("--model", "-m", metavar="NAME", help="A variant (`pyrovae models`), or your own my_model.py:MyVAE.")
@click.option("--guide", metavar="SPEC", help="A guide family (`pyrovae guides`), with options: iaf:steps=4.")
@click.option("--data", metavar="DATA", help="A data set (`pyrovae data`), or a path.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The run directory [default: runs/MODEL-DATA, or -2, -3, ... behind it].",
)
@click.option("--overwrite", is_flag=True, help="Replace the run that is in --out.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file with options of model, data and training as keys."
)
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
@debug_option
def command(
    model: str | None,
    guide: str | None,
    data: str | None,
    out: Path | None,
    overwrite: bool,
    config: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model with a guide by stochastic variational inference; save the run."""
    named = {"model": model, "guide": guide, "data": data, "out": out}
    settings = settings_of(config, options | named)
    model = settings.pop("model", None)
    if model is None:
        raise UsageError(f"which model? --model {'|'.join(registry.describe('models'))}, or your own my_model.py:MyVAE")
    variant = registry.variant(model)
    guide, data = settings.pop("guide", None), settings.pop("data", variant.data)
    out = Path(settings.pop("out", None) or next_free(model, data))
    refuse_foreign(settings, variant)

    from pyrovae.fitting import fit

    run = fit(model, data, guide, out, overwrite, show=False if quiet else None, **settings)
    results = {"run": str(out), **run.results, "pictures": sorted(path.name for path in out.glob("*.png"))}
    if run.results["stopped"] == "interrupted":
        click.echo(f"stopped by Ctrl-C after {run.results['epochs']} epochs; the weights are in {out}", err=True)
        raise click.exceptions.Exit(130)
    if as_json:
        return print_json(results)
    stopped = {"patience": " (early stopping)", "diverged": " (stopped: gradients were not finite)"}
    parts = f"rate {results['test_rate']:.2f}, distortion {results['test_distortion']:.2f}"
    ran = results["engine"] + (", CUDA graph" if results["cuda_graph"] else "")
    lowering = f", {results['lowering_seconds']:.1f} of them before the first step" if ran != "eager" else ""
    seconds = f"{results['train_seconds']:.1f} training ({ran}{lowering}), {results['score_seconds']:.1f} scoring"
    rows = [
        ("run directory", out),
        ("test ELBO", f"{results['test_elbo']:.3f} nats ({parts})"),
        ("log-likelihood", likelihood_line(results)),
        ("best epoch", f"{results['best_epoch']} of {results['epochs']}{stopped.get(results['stopped'], '')}"),
        ("parameters", f"{results['parameters']:,}"),
        ("seconds", seconds),
        ("pictures", ", ".join(results["pictures"]) or "none"),
    ]
    if results["skipped_steps"]:
        rows.append(("skipped steps", f"{results['skipped_steps']}: their gradients were not finite"))
    return print_table(("", ""), rows)
