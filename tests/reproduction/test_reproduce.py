"""`pyrovae reproduce`: every recipe is whole and runs; what is done is done once, and measured/results.md says what is
kept."""

import json
import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import done, run, score_quickly, the_error

from pyrovae import registry
from pyrovae.data.transforms import Binarize
from pyrovae.errors import UsageError
from pyrovae.reproduction import recipes, report, results
from pyrovae.reproduction.figures import FIGURES, spread
from pyrovae.reproduction.reproducing import comparable, reproduce
from pyrovae.reproduction.scoring import of_all
from pyrovae.runs.recipe import Recipe
from pyrovae.runtime.progress import progress

ROOT = Path(__file__).parents[2]
NAMES = recipes.names()


@pytest.fixture(autouse=True)
def quick_scores(monkeypatch):
    score_quickly(monkeypatch)


def find(name: str) -> recipes.Row:
    (found,) = recipes.find(name)
    return found


def test_every_file_is_a_row_of_one_table():
    files = {path.name for path in (ROOT / "pyrovae" / "reproduction" / "published").glob("*.toml")} - {"tables.toml"}
    assert sorted(files) == sorted(f"{name}.toml" for name in NAMES)
    assert not set(recipes.tables()) & set(NAMES)
    assert {path.stem for path in (ROOT / "pyrovae" / "reproduction" / "published" / "obtained").glob("*.json")} <= set(
        NAMES
    )


def test_the_recipes_are_packaged():
    assert resources.files("pyrovae.reproduction.published").joinpath("tables.toml").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_options_of_fit_for_each_of_its_budgets(name):
    recipe = find(name)
    for budget in ("short", "quick", *(["full"] if recipe.experiment.full is not None else [])):
        options = recipe.options(budget, seed=3)
        variant = registry.variant(options.pop("model"))
        made = Recipe.of(variant, options.pop("guide", None), options.pop("data"), options)
        assert made.training.seed == 3
    assert set(recipe.experiment.published) <= set(FIGURES)
    assert set(recipes.tables()[recipes.table_of(name)].columns) <= set(FIGURES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_and_finds_the_figures_of_its_table(name, tmp_path):
    (found,) = reproduce(find(name), tmp_path, progress(False), "quick")
    assert (found["name"], found["budget"]) == (name, "quick")
    figures = found["figures"]
    for figure in recipes.tables()[recipes.table_of(name)].columns:
        if figure in ("active_units", "information") and not figures.get("units"):
            continue  # a pair without z
        if figure == "nll" and find(name).settings.get("likelihood") == "bce":
            assert "nll" not in figures
            continue
        assert isinstance(figures[figure], int | float), figure
        assert abs(figures[figure]) < 1e6
    run_of = json.loads((tmp_path / name / f"quick-seed-{found['seed']}" / "run.json").read_text())
    settings = find(name).settings
    if settings["model"] == "textvae":
        assert found["binarization"] is None
    else:
        expected = "static" if settings["data"] == "static-mnist" else settings.get("binarize", "dynamic")
        assert (found["binarization"], run_of["data"]["binarize"]) == (expected, expected)


@pytest.fixture
def tiny():
    """A recipe on digits of a few steps."""
    settings: dict[str, Any] = {
        "model": "vae", "data": "digits", "hidden": (8,), "latent_dim": 2, "limit_train": 60, "epochs": 2,
        "score_samples": 2, "score_limit": 4, "compile": False,
    }  # fmt: skip
    score = {"samples": 3, "limit": 5, "elbo_draws": 2, "ais_steps": 2, "ais_limit": 2, "chains": 2}
    experiment = recipes.Experiment(
        row="tiny", seeds=(0, 1), published={"elbo": -20.0}, score=score, full={"epochs": 3}
    )
    return recipes.Row("tiny", settings, experiment)


def quiet(recipe: recipes.Row, out: Path, **options: Any) -> list[dict[str, Any]]:
    return reproduce(recipe, out, progress(False), **options)


def test_each_seed_is_a_fit_and_its_figures_and_none_is_done_twice(tiny, tmp_path):
    first = quiet(tiny, tmp_path)
    assert [each["seed"] for each in first] == [0, 1]
    assert first[0]["figures"] != first[1]["figures"]
    assert [each["epochs"] for each in first] == [2, 2]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert quiet(tiny, tmp_path) == first
    assert files == {path: path.stat().st_mtime_ns for path in files}
    assert results.lying(tmp_path, "tiny") == first
    (full,) = quiet(tiny, tmp_path, budget="full", seeds=[1])
    assert (full["budget"], full["epochs"]) == ("full", 3)


def test_the_figures_are_those_of_the_run(tiny, tmp_path):
    import pyrovae
    from pyrovae import evaluation

    (found,) = quiet(tiny, tmp_path, seeds=[1])
    loaded = pyrovae.load(tmp_path / "tiny" / "short-seed-1")
    batch = loaded.split("test")
    elbos = [evaluation.elbo(loaded.pair, batch, seed=seed)["elbo"] for seed in (1, 2)]
    assert found["figures"]["elbo"] == pytest.approx(sum(elbos) / 2)
    chosen = torch.linspace(0, len(batch[0]) - 1, 5).round().long()
    part = [x[chosen] for x in batch]
    likelihood = evaluation.log_likelihood(loaded.pair, part, 3, seed=1).log_likelihood
    assert found["figures"]["nll_scored"] == pytest.approx(-likelihood.mean().item())
    assert found["figures"]["nll_data"] == 5
    same = evaluation.elbo_per_datum(loaded.pair, part, seed=1).elbo
    assert found["figures"]["nll"] == pytest.approx((same - likelihood).mean().item() - found["figures"]["elbo"])
    assert found["curve"] == [[row["epoch"], row["valid_elbo"]] for row in loaded.metrics]


def test_the_nll_of_all_data_is_found_from_some_of_them():
    draw = torch.Generator().manual_seed(0)
    nll = 90 + 25 * torch.randn(2000, generator=draw)
    elbo = -nll - 5 - 0.5 * torch.randn(2000, generator=draw)
    found, error = of_all(elbo.mean().item(), nll[:200], elbo[:200], 2000)
    assert found == pytest.approx(nll.mean().item(), abs=4 * error)
    assert error == pytest.approx(0.5 / 200**0.5, rel=0.2)
    assert abs(nll[:200].mean() - nll.mean()) > 4 * error  # what the plain mean of those would be off by
    whole, none = of_all(elbo.mean().item(), nll, elbo, 2000)
    assert whole == pytest.approx(nll.mean().item())
    assert none == 0


def test_new_scores_of_a_run_that_is_done_need_no_other_fit(tiny, tmp_path):
    (first,) = quiet(tiny, tmp_path, seeds=[0])
    more = tiny.experiment.model_copy(update={"score": tiny.experiment.score.model_copy(update={"samples": 7})})
    before = (tmp_path / "tiny" / "short-seed-0" / "weights.safetensors").stat().st_mtime_ns
    (again,) = quiet(recipes.Row("tiny", tiny.settings, more), tmp_path, seeds=[0])
    assert again["figures"]["nll_samples"] == 7
    assert again["figures"]["elbo"] == first["figures"]["elbo"]
    assert (tmp_path / "tiny" / "short-seed-0" / "weights.safetensors").stat().st_mtime_ns == before


def test_a_fit_that_was_stopped_goes_on(tiny, tmp_path, monkeypatch):
    whole = quiet(tiny, tmp_path / "whole", seeds=[0])
    calls = []

    def stopped(self: Binarize, columns: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, columns)

    original = Binarize.__call__
    monkeypatch.setattr(Binarize, "__call__", stopped)
    with pytest.raises(KeyboardInterrupt):
        quiet(tiny, tmp_path / "cut", seeds=[0])
    monkeypatch.setattr(Binarize, "__call__", original)
    assert quiet(tiny, tmp_path / "cut", seeds=[0])[0]["figures"]["elbo"] == whole[0]["figures"]["elbo"]


def test_a_run_of_other_options_is_in_the_way_until_it_may_be_replaced(tiny, tmp_path):
    quiet(tiny, tmp_path, seeds=[0])
    other = recipes.Row("tiny", tiny.settings | {"hidden": (9,)}, tiny.experiment)
    with pytest.raises(UsageError, match="holds a run of other options: give overwrite=True"):
        quiet(other, tmp_path, seeds=[0])
    (found,) = quiet(other, tmp_path, seeds=[0], overwrite=True)
    assert found["parameters"] != quiet(tiny, tmp_path / "new", seeds=[0])[0]["parameters"]


def test_options_that_follow_the_seed(tiny):
    each = recipes.Row("tiny", tiny.settings, tiny.experiment.model_copy(update={"per_seed": ("data_seed",)}))
    assert [each.options("short", seed)["data_seed"] for seed in (0, 4)] == [0, 4]


def test_data_that_a_recipe_names_by_a_folder_are_looked_for_below_the_root(tiny, tmp_path):
    folder = tmp_path / "root" / "sentences"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("a b c .\nb c a\n" * 20)
    settings = {"model": "textvae", "data": "sentences", "hidden": 4, "embedding": 3, "latent_dim": 2, "epochs": 1}
    text = recipes.Row("text", settings, recipes.Experiment(row="text", score={"samples": 2}))
    with pytest.raises(UsageError, match="text reads the folder sentences, and there is none: give data='PATH'"):
        quiet(text, tmp_path)
    (found,) = quiet(text, tmp_path, data_root=tmp_path / "root")
    assert found["data"] == "sentences"
    figures = found["figures"]
    assert figures["perplexity"] == pytest.approx(math.exp(figures["nll"] * figures["elbo_data"] / figures["words"]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "which recipe"),
        (("iwae-vea-1",), "did you mean 'iwae-vae-1'"),
        (("iwae", "--list"), "leave out the names"),
        (("iwae", "--quick", "--full"), "leave out --full"),
        (("iwae-vae-1", "--seeds", ""), "--seeds is empty"),
        (("taught-conv", "--full"), "has one budget"),
        (("iwae-vae-1", "--data-root", "nowhere"), "nowhere"),
    ],
)
def test_what_is_wrong_is_told(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("reproduce", *words)
    assert result.exit_code in (1, 2)
    assert told in the_error(result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_the_list_names_every_recipe_with_what_is_published_and_kept():
    listed = json.loads(done("reproduce", "--list", "--json").stdout)
    assert [each["name"] for each in listed] == NAMES
    shown = done("reproduce", "--list").stdout
    for name in NAMES:
        assert re.search(rf"^{name}\b", shown, re.MULTILINE)


def test_the_command_prints_a_table(tmp_path):
    result = done("reproduce", "taught-bernoulli", "--quick", "--out", tmp_path)
    assert "784-400-20" in result.stdout
    assert "shows that it runs and nothing else" in result.stdout
    found = json.loads(done("reproduce", "taught-bernoulli", "--quick", "--out", tmp_path, "--json").stdout)
    assert list(found) == ["taught-bernoulli"]


def test_a_recipe_is_a_config_file_of_fit(tmp_path):
    recipe = ROOT / "pyrovae" / "reproduction" / "published" / "taught-bernoulli.toml"
    small = ("--data", "digits", "--epochs", "1", "--hidden", "4", "--limit-train", "128", "--score-samples", "2")
    made = json.loads(done("fit", "--config", recipe, *small, "--out", tmp_path / "run", "--json").stdout)
    assert made["epochs"] == 1
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert settings["options"]["latent_dim"] == find("taught-bernoulli").settings["latent_dim"]
    (tmp_path / "other.toml").write_text('model = "vae"\n[experiments]\nrow = "x"\n')
    assert "is a table" in the_error(run("fit", "--config", tmp_path / "other.toml").stderr)


def test_means_and_deviations_over_seeds():
    assert spread("nll", []) == "-"
    assert spread("nll", [86.761]) == "86.76"
    assert spread("nll", [1.0, 2.0, 3.0]) == "2.00 +- 1.00"
    assert spread("active_units", [3, 4]) == "3.5 +- 0.7"


def test_the_page_of_results_says_what_is_kept():
    page = (ROOT / "docs" / "measured" / "results.md").read_text(encoding="utf-8")
    assert report.filled(page) == page, "run python -m benchmarks.results"
    assert re.findall(r"<!-- table: (\S+) -->", page) == list(recipes.tables())


@pytest.mark.parametrize("name", [name for name in NAMES if results.kept(name)])
def test_what_is_kept_was_found_with_the_recipe_as_it_stands(name):
    recipe = find(name)
    for found in results.kept(name):
        assert found["name"] == name
        assert "/" not in found["data"]
        assert found["score"] == recipe.score(found["budget"]).model_dump(mode="json")
        options = recipe.options(found["budget"], found["seed"])
        epochs = options["epochs"]
        variant = registry.variant(options.pop("model"))
        wanted = Recipe.of(variant, options.pop("guide", None), options.pop("data"), options).to_json()
        for part, was in found["recipe"].items():
            now = comparable(wanted)[part]
            assert ({**now, **was} if isinstance(was, dict) else was) == now
        assert found["epochs"] <= epochs
        if found["stopped"] == "done":
            assert found["epochs"] == epochs
        assert found["figures"]["elbo_draws"] == recipe.experiment.score.elbo_draws
