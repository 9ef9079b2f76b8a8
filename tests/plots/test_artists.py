"""What stands in pictures: texts, limits and marks, read from the figure and not from its pixels."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyrovae import UsageError, plots
from pyrovae.plots.curves import Terms
from pyrovae.plots.figure import BLUE, GREEN, ORANGE, RED, fences
from pyrovae.plots.grid import GRID_DPI


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Those that are saved, in turn; none is drawn."""
    kept: list[Figure] = []

    def keep(figure: Figure, file: Any, **_: Any) -> None:
        kept.append(figure)
        file.write(b"drawn")

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def texts(figure: Figure) -> list[str]:
    """All that can be read above, beside and in a legend."""
    own = [text.get_text() for text in figure.texts]
    legends = [each for legend in figure.legends for each in (legend.get_title(), *legend.get_texts())]
    return own + [figure.get_suptitle()] + [each.get_text() for each in legends]


def epoch(number: int, elbo: float | None, held_out: float | None, **more: float | None) -> dict[str, Any]:
    return {"epoch": number, "train_elbo": elbo, "valid_elbo": held_out, "rate": 5.0, "distortion": 20.0, **more}


def panel(figure: Figure, title: str) -> Axes:
    (found,) = (axes for axes in figure.axes if axes.get_title().startswith(title))
    return found


def marks(axes: Axes, mark: str) -> list[float]:
    """At which epochs a mark stands at the edge."""
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == mark]  # type: ignore[index]


def test_what_lies_outside_of_the_curves_is_marked_at_the_edge(tmp_path: Path, figures: list[Figure]) -> None:
    tame = [epoch(i, -25 - 8 / i, -26 - 8 / i, valid_rate=5.0, valid_distortion=20.0) for i in range(3, 40)]
    wild = [epoch(1, -1e6, -2e6), epoch(2, None, -math.inf), *tame]
    plots.curves(wild, tmp_path / "curves.png", "vae on digits", Terms(rate="Rate: KL(q(z | x, y) ‖ p(z | y))"))
    (figure,) = figures
    axes = panel(figure, "ELBO, a lower bound of log p(x)")
    low, high = axes.get_ylim()
    assert -40 < low < high < -20  # the first epochs do not flatten the curve
    assert marks(axes, "v") == [1, 1]
    assert marks(axes, "X") == [2, 2]
    told = texts(figure)
    assert "vae on digits" in told
    assert "ELBO below the limits, down to \N{MINUS SIGN}2,000,000" in told
    assert "not finite" in told
    assert "best held-out: \N{MINUS SIGN}26.21 (epoch 39)" in told
    panel(figure, "Rate: KL(q(z | x, y) ‖ p(z | y))")


def test_held_out_rate_and_distortion_are_drawn_where_a_run_has_them(tmp_path: Path, figures: list[Figure]) -> None:
    old = [epoch(i, -25.0, -26.0) for i in range(1, 4)]
    new = [epoch(i, -25.0, -26.0, valid_rate=6.0, valid_distortion=21.0 + i) for i in range(1, 4)]
    for metrics in (old, new):
        plots.curves(metrics, tmp_path / "curves.png")
    without, drawn = ({line.get_label(): line for line in panel(each, "Distortion").lines} for each in figures)
    assert np.isnan(without["held-out"].get_ydata()).all()
    assert marks(panel(figures[0], "Distortion"), "X") == []  # what a run never had is no failure
    np.testing.assert_array_equal(drawn["held-out"].get_ydata(), [22, 23, 24])


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (-2.4e7, -2.0e7, {"\N{MINUS SIGN}20,000,000", "\N{MINUS SIGN}22,000,000"}),
        (1e6, 1.02e6, {"1,010,000"}),
        (-27.3, -21.1, {"\N{MINUS SIGN}22", "\N{MINUS SIGN}27"}),
        (0, 2e-4, {"0.00010", "0.00000"}),
    ],
)
def test_numbers_at_an_axis_are_whole(
    tmp_path: Path, figures: list[Figure], low: float, high: float, ticks: set[str]
) -> None:
    """Neither a factor nor an offset stands at its end."""
    plots.curves([epoch(1, low, low), epoch(2, high, high)], tmp_path / "curves.png")
    axis = panel(figures[0], "ELBO").yaxis
    texts = [axis.get_major_formatter()(at) for at in axis.get_majorticklocs()]
    assert len(set(texts)) == len(texts)
    assert ticks <= set(texts) or low == 0
    assert axis.get_major_formatter().get_offset() == ""


def test_far_points_leave_the_canvas_to_the_others(tmp_path: Path, figures: list[Figure]) -> None:
    points = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    points[3], points[4] = torch.tensor([1e4, 0.0]), torch.tensor([0.0, -1e4])
    labels = torch.arange(100) % 10
    plots.latents([plots.Scatter(points, title="E[z | x]")], labels, tmp_path / "z.png", title="t", legend="label y")
    (figure,) = figures
    (axes,) = figure.axes
    for low, high in (axes.get_xlim(), axes.get_ylim()):
        assert -5 < low < -1 < 1 < high < 5
    (dots,) = axes.collections
    assert len(dots.get_offsets()) == 100
    assert sorted(dots.get_sizes())[-2:] > sorted(dots.get_sizes())[:2]  # the triangles of these two
    assert "2 of 100 data lie outside: a triangle at the edge" in [text.get_text() for text in axes.texts]
    assert texts(figure)[-11:] == ["label y", *map(str, range(10))]
    looks = {(str(handle.get_color()), handle.get_marker()) for handle in figure.legends[0].legend_handles}  # type: ignore[union-attr]
    assert len(looks) == 10


def test_axes_of_unlike_scale_do_not_leave_the_canvas_empty(tmp_path: Path, figures: list[Figure]) -> None:
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1e-3])
    plots.latents([plots.Scatter(points)], None, tmp_path / "z.png")
    low, high = figures[0].axes[0].get_ylim()
    assert high - low < 1e-2


def test_each_site_has_a_panel_and_classes_their_shares(tmp_path: Path, figures: list[Figure]) -> None:
    shares = torch.eye(3)[torch.arange(12) % 3]
    panels = [plots.Scatter(torch.randn(12, 2), title="a"), plots.Shares(shares, ("class y", "label"), "q(y | x)")]
    plots.latents(panels, torch.arange(12) % 3, tmp_path / "z.png", ["ant", "bee", "cat"])
    heat = panel(figures[0], "q(y | x)")
    np.testing.assert_allclose(heat.images[0].get_array(), np.eye(3))
    assert [text.get_text() for text in heat.get_yticklabels()] == ["ant", "bee", "cat"]
    with pytest.raises(UsageError, match="no latent site"):
        plots.latents([], None, tmp_path / "z.png")


def test_a_picture_of_captioned_images_grows_with_their_number(tmp_path: Path, figures: list[Figure]) -> None:
    for n in (1, 4, 16):
        captions = [f"row {i}, class 3\nlog p(x) = \N{MINUS SIGN}23.10 nats" for i in range(n)]
        plots.captioned(torch.rand(n, 2, 1, 8, 8), captions, tmp_path / "w.png", ["x", "E[x | z]"], "vae on digits")
    areas = [math.prod(figure.get_size_inches() * GRID_DPI) for figure in figures]
    assert areas[0] < areas[1] < areas[2] < 16 * areas[0]
    told = set(texts(figures[2]))
    assert {"row 15, class 3", "log p(x) = \N{MINUS SIGN}23.10 nats", "vae on digits", "E[x | z]"} <= told
    with pytest.raises(UsageError, match="2 captions and 2 column titles for 3 groups of 2 images"):
        plots.captioned(torch.rand(3, 2, 1, 8, 8), ["a", "b"], tmp_path / "w.png", ["x", "y"], "t")


def test_columns_of_data_stand_against_those_of_samples(tmp_path: Path, figures: list[Figure]) -> None:
    draw = torch.Generator().manual_seed(0)
    data, samples = torch.randn(80, 3, generator=draw) * 100, torch.randn(200, 3, generator=draw) * 100
    data[0, 0] = 1e6
    names = ["column 0", "column 2", "column 7"]
    plots.marginals(data, samples, names, tmp_path / "m.png", "vae on a table")
    plots.marginals(None, samples, names, tmp_path / "m.png")
    both, alone = figures
    assert len(both.axes) == 6  # three columns and three pairs
    assert [axes.get_title() for axes in both.axes if axes.get_title()] == names
    assert max(both.axes[0].get_xlim()) < 1000
    assert "outside:\ndata 1.2 %" in [text.get_text() for text in both.axes[0].texts]
    pair = both.axes[1].collections
    assert [len(dots.get_offsets()) for dots in pair] == [80, 80]
    assert [len(dots.get_offsets()) for dots in alone.axes[1].collections] == [200]
    assert "data (histogram)" in texts(both)
    assert "data (histogram)" not in texts(alone)
    with pytest.raises(UsageError, match=r"2 columns are named for values of shape \(200, 3\)"):
        plots.marginals(None, samples, names[:2], tmp_path / "m.png")


def test_numbers_between_do_not_pass_for_whole_ones(tmp_path: Path, figures: list[Figure]) -> None:
    """Draws around 0.5 of data that are 0 or 1 fall in bins of their own."""
    data = (torch.arange(100) % 2).float().unsqueeze(1)
    for samples in (data, data * 0.1 + 0.45):
        plots.marginals(data, samples, ["column 0"], tmp_path / "m.png")
    whole, between = ([len(patch.get_xy()) for patch in figure.axes[0].patches] for figure in figures)
    assert max(whole) < 12 < min(between)


def test_a_comparison_says_what_its_lines_are(tmp_path: Path, figures: list[Figure]) -> None:
    def figure(mean: float, paired: bool) -> dict[str, Any]:
        of = {"mean": mean, "deviation": 0.1, "interval": [mean - 1, mean + 1]}
        return of | {"difference": of if paired else None}

    rows = [
        {
            "guide": name,
            "elbo": figure(-25, i > 0),
            "log_likelihood": figure(-24, i > 0),
            "step_seconds": figure(0.1, False),
        }
        for i, name in enumerate(("diagonal", "iaf"))
    ]
    plots.comparison(rows, tmp_path / "c.png", "diagonal", "vae on digits", 1000, 3)
    plots.comparison([{**row, "elbo": {"mean": -25.0}} for row in rows], tmp_path / "c.png")
    told = texts(figures[0])
    assert {"vae on digits", "95 % interval over 1,000 data", "± one deviation over 3 seeds", "ELBO"} <= set(told)
    below = [axes.get_xlabel() for axes in figures[0].axes]
    assert below[-1] == "milliseconds a training step, ± one deviation over seeds"
    assert not any("seeds" in text for text in texts(figures[1]))


def test_fences_hold_nearly_all_values() -> None:
    assert fences(np.array([math.nan])) == (0, 1)
    assert fences(np.zeros(5)) == (0, 0)
    assert fences(np.array([0.0] * 9 + [1.0])) == (0, 1)  # of equal ones, another is no outlier
    assert fences(np.array([*range(100), 1e9, -math.inf])) == (0, 99)
    heavy = np.sort(np.random.default_rng(0).standard_cauchy(1000))
    low, high = fences(heavy)
    assert 0.94 < ((heavy >= low) & (heavy <= high)).mean() < 1


def test_colours_differ_in_lightness_and_hue() -> None:
    """To the colour-blind, too: by the mean of the cones that each of them has."""
    rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in (BLUE, ORANGE, GREEN, RED)])
    linear = rgb**2.2
    # Viénot, Brettel and Mollon (1999): what protanopes and deuteranopes see of linear RGB.
    protan = linear @ np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]).T
    deutan = linear @ np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]).T
    for seen in (protan.clip(0, 1) ** (1 / 2.2), deutan.clip(0, 1) ** (1 / 2.2)):
        apart = [np.abs(seen[i] - seen[j]).max() for i in range(4) for j in range(i)]
        assert min(apart) > 0.1
