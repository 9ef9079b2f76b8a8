"""What pictures of a run say, and which of them there are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyrovae
from pyrovae import plots
from pyrovae.runs import captions, pictures, walks

SMALL: dict[str, Any] = {"epochs": 1, "latent_dim": 2, "hidden": (4,), "score_samples": 2, "batch_size": 20}
SMALL |= {"device": "cpu", "show": False}


@pytest.fixture(scope="module")
def labelled() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.bernoulli(torch.full((60, 1, 4, 4), 0.4), generator=draw)
    return {"x": x, "y": torch.arange(60) % 3}


@pytest.fixture(scope="module")
def cvae(labelled: dict[str, torch.Tensor]) -> pyrovae.Run:
    return pyrovae.fit("cvae", data=labelled, **SMALL)


@pytest.fixture(scope="module")
def table() -> pyrovae.Run:
    x = torch.randn(60, 7, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 9, 8, 7, 6, 5, 0.1]) + 3
    return pyrovae.fit("vae", data=x, **SMALL)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the pictures of grids, groups, columns and latents are made of, in turn."""
    found: list[dict[str, Any]] = []
    names = {
        "image_grid": ("images", "path", "columns", "rows", "title", "side"),
        "captioned": ("images", "captions", "path", "columns", "title"),
        "marginals": ("data", "samples", "names", "path", "title"),
        "latents": ("panels", "labels", "path", "names", "title", "legend"),
    }
    for name, words in names.items():

        def keep(*given: Any, words: tuple[str, ...] = words, **named: Any) -> Path:
            renamed = {key.removeprefix("column_").removeprefix("row_"): value for key, value in named.items()}
            found.append(dict(zip(words, given, strict=False)) | named | renamed)
            return Path("drawn")

        monkeypatch.setattr(plots, name, keep)
    return found


def test_a_conditional_pair_is_named_by_its_conditions(cvae: pyrovae.Run) -> None:
    found = captions.letters(cvae)
    assert (found.density, found.prior, found.posterior) == ("p(x | y)", "p(z | y)", "q(z | x, y)")
    assert found.terms().rate == "Rate: KL(q(z | x, y) ‖ p(z | y))"
    assert found.terms().distortion == "Distortion: \N{MINUS SIGN}E log p(x | z, y)"
    assert captions.subject(cvae) == "cvae on arrays"


def test_a_prior_that_reads_nothing_stays_p_of_z(labelled: dict[str, torch.Tensor], table: pyrovae.Run) -> None:
    run = pyrovae.fit("cvae", data=labelled, prior="standard", **SMALL)
    assert captions.letters(run).terms().rate == "Rate: KL(q(z | x, y) ‖ p(z))"
    assert captions.letters(table).terms().rate == "Rate: KL(q(z | x) ‖ p(z))"


def test_grids_say_what_is_drawn_and_of_which_class(
    cvae: pyrovae.Run, seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    pictures.samples(cvae, path)
    pictures.samples(cvae, path, 4, given={"y": 2.0})
    pictures.samples(cvae, path, 4, given={"y": 2.0, "z": [0.5, 0.5]})
    pictures.reconstructions(cvae, path)
    pictures.interpolation(cvae, path, 2, 3)
    found = cvae.log_likelihood(samples=5, show=False)
    pictures.worst(cvae, path, found, found.worst(2).tolist())
    classes, twos, fixed, again, between, worst = seen
    assert classes["title"] == "cvae on arrays: E[x | z, y], z ~ p(z | y), a column a class y"
    assert twos["title"] == "cvae on arrays: E[x | z, y], z ~ p(z | y), y = 2"
    assert fixed["title"] == "cvae on arrays: E[x | z, y], y = 2, z = (0.5, 0.5)"
    assert again["title"] == "cvae on arrays, test data: x, and E[x | z, y] of one draw of q(z | x, y)"
    labels = cvae.labels("test")
    assert labels is not None
    assert again["columns"] == [f"y = {y}" for y in labels[:10].tolist()]
    assert between["title"] == "cvae on arrays, test data: E[x | z, y] from one E[z | x, y] to another"
    assert between["rows"] is None or between["rows"][0].startswith("y = ")
    row = int(found.worst(1)[0])
    lines = worst["captions"][0].split("\n")
    assert lines[0] == f"row {row}, class {labels[row]}"
    assert lines[1] == f"log p(x | y) = {float(found.log_likelihood[row]):.2f} nats".replace("-", "\N{MINUS SIGN}")


def test_the_worst_of_images_with_names_are_called_by_these(
    cvae: pyrovae.Run, seen: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = {"row": np.arange(6), "name": np.array([f"new/{i}.png" for i in range(6)])}
    monkeypatch.setattr(cvae, "index", lambda split: index, raising=False)
    pictures.worst(cvae, tmp_path / "x.png", cvae.log_likelihood(samples=5, show=False), [4])
    assert seen[0]["captions"][0].startswith("new/4.png, class ")


def test_latents_name_their_axes_their_labels_and_the_condition(
    cvae: pyrovae.Run, labelled: dict[str, torch.Tensor], seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    unread = pyrovae.fit("vae", data=labelled, **SMALL | {"latent_dim": 3})
    levels = pyrovae.fit("hvae", data=labelled, **{key: value for key, value in SMALL.items() if key != "latent_dim"})
    for run in (cvae, unread, levels):
        pictures.latents(run, tmp_path / "z.png")
    conditional, plain, several = seen
    assert conditional["title"].endswith("(model and guide are told y, so that z need not say it)")
    assert conditional["legend"] == "label y"
    assert conditional["panels"][0].axes == ("z₁", "z₂")
    assert plain["title"] == "vae on arrays: posterior means, test data"
    assert plain["legend"] == "label\n(not read by q)"
    first, second = plain["panels"][0].axes
    assert first.startswith("first principal component of E[z | x] (")
    assert second.endswith("% of its variance)")
    assert len(several["panels"]) == 2


def test_classes_that_are_inferred_are_drawn_as_shares(
    labelled: dict[str, torch.Tensor], seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    run = pyrovae.fit("ssvae", data=labelled, labels=12, **SMALL)
    pictures.latents(run, tmp_path / "z.png")
    shares = [each for each in seen[0]["panels"] if isinstance(each, plots.Shares)]
    assert [each.title for each in shares] == ["q(y | x)"]
    torch.testing.assert_close(shares[0].shares.sum(1), torch.ones(len(shares[0].shares)).double())


def test_tables_are_drawn_by_their_columns(table: pyrovae.Run, seen: list[dict[str, Any]], tmp_path: Path) -> None:
    pictures.samples(table, tmp_path / "x.png", 30)
    (found,) = seen
    assert found["names"] == [f"column {i}" for i in (1, 2, 3, 4, 5)]
    torch.testing.assert_close(found["data"], table.split("test")[0][:, 1:6])
    assert found["samples"].shape == (30, 5)
    assert 0 < found["samples"].mean() < 6  # in the units of the data
    assert found["title"].startswith("vae on arrays: 6 test data and 30 draws of p(x)\n5 of 7 columns")
    other = table.on(torch.zeros(3, 7))
    pictures.samples(other, tmp_path / "x.png", 30)
    assert seen[1]["data"] is None  # nothing that was to be like these


def test_draws_of_a_class_stand_against_data_of_that_class(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    y = torch.arange(90) % 3
    run = pyrovae.fit("cvae", data={"x": torch.randn(90, 2) + 9 * y.unsqueeze(1), "y": y}, **SMALL)
    pictures.samples(run, tmp_path / "x.png", 5, given={"y": 2.0})
    pictures.samples(run, tmp_path / "x.png", 5, given={"y": 2.0, "z": [0.0, 0.0]})
    x, labels = run.split("test")[0], run.labels("test")
    torch.testing.assert_close(seen[0]["data"], x[labels == 2])
    assert seen[0]["title"].endswith("test data and 5 draws of p(x | y), y = 2")
    assert seen[1]["data"] is None


def test_the_plane_is_cut_by_the_inverse_of_the_prior(
    cvae: pyrovae.Run, seen: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, torch.Tensor]] = []
    decoded = walks._decoded
    monkeypatch.setattr(walks, "_decoded", lambda run, like, at: given.append(at) or decoded(run, like, at))
    plain = pyrovae.fit("vae", data=cvae.data.columns["train"]["x"].float(), **SMALL)
    for run in (plain, cvae):
        walks.plane(run, tmp_path / "plane.png")
    z = given[0]["z"].unflatten(0, (walks.SIDE, walks.SIDE))
    shares = torch.linspace(walks.EDGE, 1 - walks.EDGE, walks.SIDE)
    torch.testing.assert_close(torch.special.ndtr(z[4, :, 0]), shares, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.special.ndtr(z[:, 4, 1]), shares.flip(0), atol=1e-4, rtol=0)
    assert seen[0]["images"].shape == (walks.SIDE, walks.SIDE, 1, 4, 4)
    assert "E[x | z, y] over the plane of z, y = " in seen[1]["title"]


def test_traversals_are_sorted_by_rate_and_move_one_dimension_each(
    labelled: dict[str, torch.Tensor], table: pyrovae.Run, seen: list[dict[str, Any]], tmp_path: Path, monkeypatch: Any
) -> None:
    given: list[dict[str, torch.Tensor]] = []
    decoded = walks._decoded
    monkeypatch.setattr(walks, "_decoded", lambda run, like, at: given.append(at) or decoded(run, like, at))
    run = pyrovae.fit("vae", data=labelled["x"], **SMALL | {"latent_dim": 4, "epochs": 3})
    walks.traversals(run, tmp_path / "t.png")
    rates = [float(text.split(": ")[1].removesuffix(" nats")) for text in seen[0]["rows"]]
    assert rates == sorted(rates, reverse=True)
    assert seen[0]["columns"] == ["\N{MINUS SIGN}3", "\N{MINUS SIGN}2", "\N{MINUS SIGN}1", "0", "1", "2", "3"]
    z = given[0]["z"].unflatten(0, (-1, len(walks.STEPS)))
    mean = run.encode("test")["z_mean"][0]
    for text, row in zip(seen[0]["rows"], z, strict=True):
        moved = int(text[2 : text.index("]")])
        torch.testing.assert_close(row[:, moved], torch.tensor(walks.STEPS, dtype=torch.float32))
        others = [i for i in range(4) if i != moved]
        torch.testing.assert_close(row[:, others], torch.from_numpy(mean[others]).expand(len(row), -1))


def test_a_fit_keeps_the_pictures_that_its_data_allow(table: pyrovae.Run, cvae: pyrovae.Run, tmp_path: Path) -> None:
    of_table = {path.stem for path in pictures.pictures(table, tmp_path)}
    assert of_table == {"curves", "marginals", "latents"}
    of_images = {path.stem for path in pictures.pictures(cvae, tmp_path)}
    assert of_images == {"curves", "samples", "reconstructions", "latents", "plane", "traversals"}
    assert of_table | of_images == set(pyrovae.runs.directory.PICTURES)  # so that all of them are kept with a run
