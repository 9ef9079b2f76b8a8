"""What the benchmarks compare is the same thing, and it is timed by turns."""

import dataclasses
import json

import pytest
import torch
from click.testing import CliRunner
from conftest import linear

from benchmarks import distributed, gradients, loglik, measure, scaling, setting
from benchmarks.peers import by_hand, ours, pyro_svi
from pyrovae import evaluation
from pyrovae.svi.pieces import Sums

SMALL = dataclasses.replace(setting.DEEP, hidden=(12, 12), latent_dim=4)


@pytest.fixture(scope="module")
def dataset():
    return setting.images(None)


def test_the_hand_written_network_is_the_pair(dataset):
    """The same weights give the same ELBO, up to the noise of 2,000 images."""
    pair, test = setting.build(SMALL, dataset), setting.held_out_images(dataset)
    net = by_hand.start(SMALL, setting.pixels(dataset))
    loglik.same(pair, net)
    theirs = evaluation.elbo(pair.eval(), [test.view(-1, 1, 28, 28)])["elbo"]
    assert by_hand.elbo(net, test) == pytest.approx(theirs, abs=0.3)
    samples = loglik.by_hand_loop(net, test, 50)
    samples.run(20)
    compared = loglik.ours(pair, test, 50, compile=False)
    compared.run(20)
    assert samples.check() == pytest.approx(compared.check(), abs=0.3)


def test_contestants_train(dataset):
    x, test = setting.pixels(dataset), setting.held_out_images(dataset)
    contestants = [
        by_hand.step(SMALL, x, test),
        pyro_svi.step(SMALL, setting.build(SMALL, dataset), x, test),
        ours.step(SMALL, setting.build(SMALL, dataset), dataset, x, test, "eager"),
        ours.step(SMALL, setting.build(SMALL, dataset), dataset, x, test, "traced"),
    ]
    start = contestants[0].check()
    for contestant in contestants:
        contestant.run(150)
    after = [contestant.check() for contestant in contestants]
    assert min(after) > start + 20
    assert max(after) - min(after) < 15


def test_turns_and_tables(tmp_path, capsys):
    seen = []

    def contestant(name, counted=None):
        def run(repeats):
            seen.append((name, repeats))
            return counted

        return measure.Contestant(name, run, lambda: -1.5, 0.25)

    rows = measure.alternate([contestant("a", 0.004), contestant("b", 0.002)], blocks=3, repeats=2)
    assert seen == [("a", 2), ("b", 2)] * 4
    assert [row.median for row in rows] == [pytest.approx(2.0), pytest.approx(1.0)]
    assert rows[0].ratio(rows[1]) == pytest.approx(2.0)
    measure.show("both", rows, "b")
    assert "both; ratio to b" in capsys.readouterr().out
    measure.write(tmp_path / "new" / "found.json", {"rows": measure.as_json(rows)})
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert found["environment"]["threads"] == torch.get_num_threads()
    assert found["rows"][0]["check"] == -1.5


def test_the_limit_takes_the_products_of_a_step():
    for limit in by_hand.limits(SMALL):
        limit.run(1)
    loglik.limit(10, one_dnn=False).run(2)


def test_the_spread_of_vectors_is_that_of_torch():
    vectors = 3 + torch.randn(200, 7, dtype=torch.float64) * torch.arange(1, 8)
    moments = gradients.Moments()
    for vector in vectors:
        moments.add(vector)
    variance, signal = moments.spread()
    assert variance == pytest.approx(vectors.var(0).mean().item())
    squares = vectors.mean(0).square().sum() - vectors.var(0).sum() / 200
    assert signal == pytest.approx((squares / vectors.var(0).sum()).sqrt().item())
    quiet = gradients.Moments()
    for _ in range(3):
        quiet.add(torch.ones(2))
    assert quiet.spread().variance == 0


def test_gradients_of_the_guide_have_no_noise_at_the_posterior():
    exact = linear()
    found = {name: gradients.measured(exact.pair, [exact.x], name, 2, 10) for name in ("elbo", "stl", "dreg")}
    assert found["elbo"].guide.variance > 1e-3
    assert found["stl"].guide.variance < 1e-18
    assert found["dreg"].guide.variance < 1e-18
    assert found["elbo"].model == pytest.approx(found["stl"].model)


def test_gradients_are_printed_and_written(tmp_path):
    path = tmp_path / "found.json"
    command = ["--epochs", "1", "--draws", "3", "--batch", "5", "--particles", "1", "--json", str(path)]
    CliRunner().invoke(gradients.main, command, catch_exceptions=False)
    rows = json.loads(path.read_text())["rows"]
    assert [(row["K"], row["name"]) for row in rows] == [(1, "elbo"), (1, "elbo, analytic KL"), (1, "stl")]
    assert rows[0]["guide"]["variance"] > 0


def test_what_processes_are_compared_by_has_no_noise(dataset):
    pair, x = setting.build(SMALL, dataset), setting.held_out_images(dataset, 6).view(-1, 1, 28, 28)
    loss = distributed.Loss(distributed.without_noise(pair))
    used = list(pair.model.parameters())
    found = [torch.autograd.grad(loss(x), used) for _ in range(2)]
    assert distributed.worst(*found) == 0
    noisy = [torch.autograd.grad(distributed.Loss(pair)(x), used) for _ in range(2)]
    assert distributed.worst(*noisy) > 1e-3


def test_the_bytes_of_a_step_are_those_of_the_buffer(dataset):
    parameters = list(setting.build(SMALL, dataset).parameters())
    buffers = Sums(parameters, scaling.FIGURES).buffers
    assert [buffer.nbytes for buffer in buffers] == [scaling.message(sum(each.numel() for each in parameters))]


def test_gloo_is_fitted():
    sizes = [4, 4000, 4_000_000]
    latency, bandwidth = scaling.fit(sizes, [2e-4 + size / 3e9 for size in sizes])
    assert (latency, bandwidth) == (pytest.approx(2e-4), pytest.approx(3e9))


@pytest.mark.parametrize("cluster", scaling.CLUSTERS, ids=lambda cluster: cluster.inside)
def test_the_model_of_scaling(cluster):
    """Where several GPUs pay, they take as long as one; twice the efficiency, half the gain; sums only grow."""
    pair = scaling.Size("some", 10**6, 128)
    sums = [scaling.all_reduce(10**6, world, cluster) for world in scaling.WORLDS]
    assert sums[0] == 0
    assert sums == sorted(set(sums))
    assert sums[1] < scaling.all_reduce(10**7, 8, cluster) < 10 * sums[1]
    large = 10**12  # latency does not count, and a ring is the way
    assert scaling.all_reduce(large, 8, cluster) == pytest.approx(2 * 7 / 8 * large / cluster.gpu, rel=1e-3)
    for captured in (False, True):
        rows = scaling.pays_from(pair, 8, cluster, 0.5, captured)
        several = scaling.step(pair, rows, 8, cluster, 0.5, captured)
        assert several == pytest.approx(scaling.step(pair, 8 * rows, 1, cluster, 0.5))
    rows = scaling.half_from(pair, 64, cluster, 0.5)
    assert 32 * scaling.step(pair, rows, 64, cluster, 0.5) == pytest.approx(
        scaling.step(pair, 64 * rows, 1, cluster, 0.5)
    )


def test_scaling_is_printed_and_written(tmp_path):
    path = tmp_path / "found.json"
    told = CliRunner().invoke(scaling.main, ["--no-measure", "--out", str(path)], catch_exceptions=False).output
    assert "652,824" in told  # 784 x 400 + 400 + 2 (400 x 20 + 20) and 20 x 400 + 400 + 400 x 784 + 784
    found = json.loads(path.read_text())
    assert found["parameters"]["vae 784-400-20"] == 652_824
    assert sum(len(rows) == len(scaling.WORLDS) for rows in found.values() if isinstance(rows, list)) == 4


@pytest.mark.slow
def test_two_processes_are_measured():
    found = scaling.measured(("deep",), blocks=2, repeats=1)
    assert len(found["all_reduce"]) == len(scaling.ELEMENTS)
    assert [row["name"] for row in found["steps"]["deep"]][-1] == "2 processes"
