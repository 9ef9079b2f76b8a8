import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from pyrovae import plots
from pyrovae.errors import UsageError
from pyrovae.plots.figure import BLUE, GREEN, ORANGE

pytestmark = pytest.mark.drawn

NAN = math.nan


def pixels(path: Path) -> np.ndarray:
    """(height, width, 3), whole numbers in [0, 255]."""
    return (imread(path)[..., :3] * 255).round().astype(int)


def cells(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The grid cut out of its white margins, (rows, columns, height, width); all cells must be non-white at the rim."""
    inked = (picture != 255).any(-1)
    down, across = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
    grid = picture[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    gap = 4
    height, width = (grid.shape[0] + gap) // rows, (grid.shape[1] + gap) // columns
    assert grid.shape[:2] == (rows * height - gap, columns * width - gap)
    rows_of = [grid[i * height : (i + 1) * height - gap] for i in range(rows)]
    return np.array([[row[:, j * width : (j + 1) * width - gap] for j in range(columns)] for row in rows_of])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 28])
def test_every_pixel_of_a_grid_is_a_square_in_its_place(tmp_path: Path, channels: int, side: int) -> None:
    images = torch.rand(2, 3, channels, side, side, generator=torch.Generator().manual_seed(0)) * 0.9
    found = cells(pixels(plots.image_grid(images, tmp_path / "grid.png")), 2, 3)
    scale = found.shape[2] // side
    assert scale >= 8
    assert found.shape[2:4] == (side * scale, side * scale)
    expected = (images * 255).round().expand(2, 3, 3, side, side).permute(0, 1, 3, 4, 2).int().numpy()
    np.testing.assert_array_equal(found, expected.repeat(scale, 2).repeat(scale, 3))


def test_cells_without_an_image_are_light_gray(tmp_path: Path) -> None:
    images = torch.zeros(2, 2, 1, 8, 8)
    images[1, 1] = NAN
    found = cells(pixels(plots.image_grid(images, tmp_path / "grid.png")), 2, 2)
    assert (found[1, 1] == 230).all()
    assert not found[0].any()


@pytest.mark.parametrize("shape", [(2, 2, 1, 8, 8), (16, 20, 3, 28, 28), (8, 8, 1, 28, 28), (2, 8, 3, 256, 256)])
def test_grids_have_the_size_of_a_screen(tmp_path: Path, shape: tuple[int, ...]) -> None:
    height, width, _ = pixels(plots.image_grid(torch.rand(shape), tmp_path / "grid.png")).shape
    assert 700 <= width <= 1600
    assert height <= 1600


def test_titles_stay_in_their_place(tmp_path: Path) -> None:
    """However long they are, titles leave the images alone and stay apart: white columns stand between them."""
    images = torch.zeros(2, 20, 1, 8, 8)
    path = tmp_path / "grid.png"
    plain = pixels(plots.image_grid(images, path))
    titles = [f"a class with a long name and the number {i}" for i in range(20)]
    titled = pixels(plots.image_grid(images, path, titles, ["data", "reconstruction $x"], "The title"))
    black = (titled == 0).all(-1)
    top = np.flatnonzero(black.mean(1) > 0.7)[0]
    left = np.flatnonzero(black[top:].mean(0) > 0.7)[0]
    grid = plain[12:-12, 12:-12]
    np.testing.assert_array_equal(titled[top : top + len(grid), left : left + grid.shape[1]], grid)
    band = (titled[top - 18 : top - 1, left:] == 255).all((0, 2))
    step = (grid.shape[1] + 2) // 20
    edges = [left + i * step - left - 1 for i in range(1, 20)]
    assert band[edges].all()
    assert not band.all()


@pytest.mark.parametrize(
    ("shape", "titles", "words"),
    [
        ((2, 1, 8, 8), None, r"shape \(2, 1, 8, 8\)"),
        ((2, 2, 2, 8, 8), None, "1 or 3"),
        ((1, 2, 1, 8, 8), ["one"], "1 column titles for 2 columns"),
    ],
)
def test_grid_refuses_what_does_not_fit(tmp_path: Path, shape: Any, titles: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plots.image_grid(torch.zeros(shape), tmp_path / "grid.png", titles)


def epoch(number: int, elbo: float | None, held_out: float | None) -> dict[str, Any]:
    return {"epoch": number, "train_elbo": elbo, "valid_elbo": held_out, "rate": 5.0, "distortion": 20.0}


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        [epoch(1, -25.0, -26.0)],
        [epoch(1, -25.0, None), epoch(2, NAN, -24.0), epoch(3, -math.inf, NAN)],
        [epoch(1, None, None)],
        [{"epoch": 1}, {"epoch": 2}],
    ],
)
def test_curves_take_what_training_leaves(tmp_path: Path, metrics: list[dict[str, Any]]) -> None:
    assert pixels(plots.curves(metrics, tmp_path / "curves.png")).shape == (600, 1320, 3)


LABELS = {
    "none": None,
    "classes": torch.arange(50) % 7,
    "many classes": torch.arange(50) % 30,
    "floats": torch.linspace(0, 1, 50),
    "bools": torch.arange(50) % 2 == 0,
}


@pytest.mark.parametrize("kind", LABELS)
def test_latents(tmp_path: Path, kind: str) -> None:
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    path = plots.latents([plots.Scatter(points)], LABELS[kind], tmp_path / "z.png", names=["zero", "one"], title="z")
    picture = pixels(path)
    assert picture.shape[1] == (744 if kind == "none" else 912)
    dark = (picture < 60).all(-1)
    axis = dark[dark.sum(1).argmax()]  # the line below the points ends early where a legend or a colour bar stands
    assert (np.flatnonzero(axis)[-1] > picture.shape[1] - 30) == (kind == "none")


def test_latents_refuse_labels_of_another_length(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"labels have shape \(3,\) for 4 points"):
        plots.latents([plots.Scatter(torch.zeros(4, 2))], torch.zeros(3), tmp_path / "z.png")


def row(guide: str, elbo: float, likelihood: float | None, deviation: float | None) -> dict[str, Any]:
    values = {"elbo": elbo, "log_likelihood": likelihood, "rate": 9.0, "seconds": 12.0}
    return {"guide": guide, **{key: {"mean": value, "deviation": deviation} for key, value in values.items()}}


def test_comparison_takes_missing_figures(tmp_path: Path) -> None:
    rows = [row("diagonal", -25.3, -23.0, 0.1), row("iaf", -24.0, NAN, None), row("full", -24.5, None, None)]
    three = pixels(plots.comparison(rows, tmp_path / "guides.png"))
    assert three.shape[1] == 1050  # a column of 3.5 inches
    assert three.shape[0] > pixels(plots.comparison(rows[:2], tmp_path / "guides.png")).shape[0]


def test_comparison_shows_the_parts_of_the_gap_where_it_was_taken_apart(tmp_path: Path) -> None:
    rows = [row("diagonal", -25.3, -23.0, 0.1), row("iaf", -24.0, -23.0, None)]
    plain = pixels(plots.comparison(rows, tmp_path / "guides.png"))
    parts = {
        name: {"mean": value, "deviation": None} for name, value in (("approximation", 0.4), ("amortization", 1.9))
    }
    apart = pixels(plots.comparison([{**each, **parts} for each in rows], tmp_path / "guides.png"))
    assert apart.shape[0] > plain.shape[0] + 100
    none = {key: {"mean": None, "deviation": None} for key in parts}
    assert pixels(plots.comparison([{**each, **none} for each in rows], tmp_path / "guides.png")).shape == plain.shape


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plots.curves([], tmp_path / "new" / "curves.png")
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        plots.curves([epoch(1, -25.0, -26.0)], path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_the_suffix_is_the_format(tmp_path: Path) -> None:
    assert plots.comparison([row("iaf", -24.0, -23.0, None)], tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(UsageError, match="no picture format 'doc'"):
        plots.curves([], tmp_path / "a.doc")


def drawn(picture: np.ndarray, colour: str) -> np.ndarray:
    """Columns that hold a colour, written #rrggbb."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.flatnonzero((np.abs(picture - wanted).max(-1) <= 2).any(0))


def test_learning_curves_stand_beside_published_end_points(tmp_path: Path) -> None:
    curves = {"a": [(1, -120.0), (2, -110.0), (40, -100.0)], "b": [(1, -130.0), (3, -115.0)]}
    with_lines = pixels(plots.learning(curves, tmp_path / "with.png", {"published": -86.76}))
    without = pixels(plots.learning(curves, tmp_path / "without.png"))
    first, second = drawn(with_lines, BLUE), drawn(with_lines, ORANGE)
    assert first.size > 100
    assert second.size > 30
    of_lines = (np.abs(with_lines - 0x8A).max(-1) <= 2).sum(1).max()
    assert of_lines > 400  # a line from side to side
    assert (np.abs(without - 0x8A).max(-1) <= 2).sum(1).max() < 400


def test_a_ladder_goes_from_the_elbo_to_the_likelihood(tmp_path: Path) -> None:
    rows = {"diagonal": [[-103.0, -102.0], [-97.0, -96.0], [-95.5]], "iaf": [[-101.0], [-95.0], []]}
    picture = pixels(plots.ladder(rows, tmp_path / "ladder.png"))
    half = picture[:, : picture.shape[1] * 2 // 3]  # the legend stands to the right
    places = [drawn(half, colour).mean() for colour in (BLUE, ORANGE, GREEN)]
    assert places == sorted(places)
