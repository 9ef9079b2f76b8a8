"""What a result prints in a prompt and shows in a notebook: few lines, its figures, escaped."""

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import pyrovae
from pyrovae.comparison import COLUMNS, Comparison
from pyrovae.comparison.table import guide_rows
from pyrovae.evaluation import AIS, Gap, LogLikelihood, PerDatum, Sandwich
from pyrovae.runtime.notebook import Lines, Shown, html

V, E, K = torch.tensor([-20.0, -21.5]), torch.tensor([0.3, 0.4]), torch.tensor([0.1, 0.2])
LIKELIHOOD = LogLikelihood(V, E, torch.tensor([900.0, 950.0]), K, V, torch.tensor([1000, 1000]), 1000)
ANNEALED = AIS(V, E, E, E, 100, 16, 10, "prior", 1.0)

RESULTS = {
    "likelihood": (LIKELIHOOD, ("-20.750 nats", "standard error 0.25", "1000 samples a datum, 2 data", "trusted")),
    "ais": (ANNEALED, ("-20.750 nats", "standard error 0.25", "16 chains of 100", "2 data", "lower bound")),
    "one chain": (
        AIS(V, E * torch.nan, E, E, 100, 1, 10, "prior", 1.0, broken=("rows <interact>",)),
        ("standard error unknown", "1 chain of", "is not to be trusted: rows <interact>"),
    ),
    "sandwich": (
        Sandwich(V, V + 0.5, E, E, E, E, (V,), 100, 16, 10, "prior", 1.0),
        ("between -20.750 and -20.250 nats", "width 0.500 nats", "2 data of the model"),
    ),
    "gap": (
        Gap(V, "ais", {"is": LIKELIHOOD, "ais": ANNEALED}, E, V - 0.25, V - 0.75, 0.001, True, 1.0),
        ("-20.750 nats", "by ais", "2 data", "ELBO -21.500", "approximation gap 0.250", "amortization gap 0.500: most"),
    ),
    "elbo": (PerDatum(V, E, -V - E), ("ELBO -20.750 nats", "rate 0.350", "2 data")),
}


class Cells(HTMLParser):
    """What the cells of a table hold, and which attributes stand in it."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.attributes, self.open = [], set(), []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.attributes |= {value for _, value in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_prints_its_figures_in_few_lines(name):
    result, words = RESULTS[name]
    text = str(result)
    assert text == repr(result)
    assert text.startswith(f"{type(result).__name__}: ")
    assert text.count("\n") < 3 and "tensor(" not in text
    assert not [word for word in words if word not in text], text
    shown = Cells(result._repr_html_())
    assert all(word in " ".join(shown.texts) for word in words[:1])
    assert shown.attributes <= {"text-align: left"}  # no colour, which one of light and dark hides


def test_a_table_escapes_what_it_holds():
    class Strange(Shown):
        def lines(self) -> Lines:
            return [("<b>", "a & b"), ("", '<script>alert("x")</script>')]

    shown = Strange()._repr_html_()
    assert "<script>" not in shown and "<b>" not in shown
    assert Cells(shown).texts == ["Strange", "<b>", "a & b", '<script>alert("x")</script>']
    assert "&lt;i&gt;" in html([["x", "1"]], ["<i>", "y"])


@pytest.fixture(scope="module")
def run():
    options = {"epochs": 1, "latent_dim": 2, "hidden": (4,), "score_samples": 2, "show": False, "compile": False}
    return pyrovae.fit("vae", data=torch.rand(40, 1, 4, 4).round(), guide="full", **options)


def test_a_run_prints_what_it_is_and_its_scores(run, tmp_path):
    text = str(run)
    elbo = f"test ELBO {run.results['test_elbo']:.3f} nats"
    for word in ("vae with guide full", "not saved", "best epoch 1 of 1", elbo, "2 samples a datum"):
        assert word in text, text
    assert elbo in str(run.results) and "lowering" not in str(run.results)
    run.save(tmp_path / "a & b")
    loaded = pyrovae.load(tmp_path / "a & b", device="cpu")
    assert str(loaded) == str(run)  # of run.json, too
    assert "a &amp; b" in loaded._repr_html_()
    loaded.results = {}
    assert "not scored yet" in str(loaded)


def test_scores_and_data_print_what_they_are(run):
    text = str(run.evaluate(samples=2))
    assert text.startswith("Scores: ELBO -") and "log-likelihood -" in text and "units active" in text
    assert "tensor(" not in text and text.count("\n") < 5
    assert str(run.data).startswith(f"Dataset: {run.data.name}, 32 train, 4 valid, 4 test\nx binary (1, 4, 4)")
    assert str(run.on(run.split("test")[0]).data).startswith("NewData: ")


def test_a_comparison_prints_a_table():
    guides, values = ["diagonal", "iaf<2>"], {"elbo": np.array([[[-20.0, -21.0]], [[-19.0, -20.5]]])}
    figures = {column.name: None for column in COLUMNS} | {"broken": [], "trusted": None, "verdict": None}
    runs = [figures | {"guide": g, "seed": 0, "elbo": v.mean()} for g, v in zip(guides, values["elbo"], strict=True)]
    table = guide_rows(guides, "diagonal", runs, values)
    found = Comparison("vae", "diagonal", runs, table, {"data": {"source": "digits"}, "seeds": [0]}, values)
    heads, first, second = str(table).splitlines()
    assert heads.split() == ["guide", "ELBO", "difference"]
    assert first.split() == ["diagonal", "-20.50", "-"]
    assert second.split()[:3] == ["iaf<2>", "-19.75", "+0.750"]
    assert heads.index("ELBO") == first.index("-20.50") == second.index("-19.75")
    assert str(found) == f"Comparison: vae on digits, 1 seed a guide; nats, compared to diagonal\n{table}"
    for shown in (found, table):
        assert "iaf&lt;2&gt;" in shown._repr_html_()
        assert {"ELBO", "-20.50", "iaf<2>"} <= set(Cells(shown._repr_html_()).texts)
    assert found.to_json()["table"] == list(table)  # a list all the same
    assert dataclasses.replace(found).table is table
