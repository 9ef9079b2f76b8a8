"""Config files: TOML with keys and values of every type, and what is no TOML."""

import json
from pathlib import Path
from random import Random

from pyrovae import registry
from pyrovae.cli._fits import settings_of
from pyrovae.data import DataConfig
from pyrovae.errors import UsageError
from pyrovae.options import TrainConfig
from pyrovae.registry.refusals import require_settings
from pyrovae.runs.recipe import Recipe

from .case import Case, Target
from .damage import damaged

MODELS = ("vae", "cvae", "iaf", "textvae")
VALUES = (
    "0", "1", "-1", "3", "2.5", "1e400", "-0.0", "nan", "inf", "1" + "0" * 400, "true", "false", '""', '"x"', '"32"',
    '"auto"', '"\\u0000"', '"\\ud800"', "[]", "[1, 2]", "[0.5]", '["a"]', "[[1]]", "{}", "{a = 1}", "1979-05-27",
    "07:32:00", "9" * 5000, "0x10", "1_000", '"""a\nb"""', "[" * 2000 + "]" * 2000, '"diagonal"', '"iaf:steps=2"',
    '"z=iaf"', '"digits"',
)  # fmt: skip
SIGNS = (b"=", b"[", b"]", b"[[a]]", b"#", b'"', b"\\u", b".", b"model = 3")
WORDS = (*(value[:40].encode() for value in VALUES), *SIGNS)


def known_to(model: str) -> list[str]:
    """Every key that a config file for this model may have."""
    variant = registry.variant(model)
    own = [*variant.config.model_fields, *TrainConfig.model_fields, *DataConfig.model_fields]
    return [*own, "model", "guide", "data", "out", "freeze_model"]


def make(draw: Random, folder: Path) -> Case:
    """Some keys, known and unknown, with any values; a third of the files are damaged."""
    model = draw.choice(MODELS)
    keys = known_to(model)
    lines = [f'model = "{model}"'] if draw.random() < 0.8 else []
    for _ in range(draw.choice((0, 1, 1, 1, 2, 4))):
        key = (
            draw.choice(keys)
            if draw.random() < 0.9
            else draw.choice(("a", "x.y", '"a b"', '""', "latent_dims", "seed"))
        )
        lines.append(f"{key} = {draw.choice(VALUES)}")
    if draw.random() < 0.1:
        lines.insert(draw.randrange(len(lines) + 1), draw.choice(("[training]", "[[a]]", "[", "# text", "a")))
    data = "\n".join(lines).encode(errors="surrogatepass")
    (folder / "c.toml").write_bytes(damaged(data, draw, WORDS) if draw.random() < 0.3 else data)
    return Case(folder, "c.toml")


def load(case: Case) -> None:
    """What `pyrovae fit --config FILE` makes of it before data are read; and back through JSON."""
    settings = settings_of(case.path, {})
    model = settings.pop("model", None)
    if not isinstance(model, str):
        raise UsageError("which model? --model")
    variant = registry.variant(model)
    guide, data = settings.pop("guide", None), settings.pop("data", None)
    for name in ("out", "freeze_model"):
        Path(settings.pop(name, "")).exists()
    require_settings(model, [guide] if isinstance(guide, str) else [], settings)
    recipe = Recipe.of(variant, guide, data, settings)
    written = json.loads(json.dumps(recipe.to_json(), allow_nan=False))
    assert Recipe.from_json(written, variant).to_json() == written == recipe.to_json()


TOML = Target("toml", make, load, names_files=False)
