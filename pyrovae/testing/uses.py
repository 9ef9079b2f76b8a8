"""Laws on what is done with a pair: it trains, it is saved, it is scored."""

import copy
from collections.abc import Mapping

import pyro
import safetensors.torch
import torch
from pyro import optim
from torch import Tensor, nn

from pyrovae import evaluation
from pyrovae.errors import option
from pyrovae.lowering.engine import FEW
from pyrovae.objectives.elbo import ELBO
from pyrovae.pairs.assumptions import TOLERANCE, apart
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import log_weights, traces
from pyrovae.runs import tensors
from pyrovae.svi import Optimizer, Step
from pyrovae.testing.law import Case, DoesNotApplyError, LawError, latents, law, per_datum, trainable

STEPS = 3
"""Steps within which every parameter moves: a layer that starts at zero hides those behind it for one of them."""


@law("parameters move", cure="the pair must train by the ELBO", needs=trainable)
def _moves(case: Case) -> None:
    """every parameter moves within three steps"""
    pair = case.pair().train()
    trained = _trained(pair)
    if not trained:
        return
    before, optimizer = _state(pair), Optimizer(trained, lr=1e-2)
    step, one = Step(ELBO(pair), optimizer), torch.ones((), device=case.batch[0].device)
    for _ in range(STEPS):
        step(case.batch, 1e-2 * one, one, one)
    if optimizer.skipped:
        raise LawError("a gradient is not finite at random weights: look for exp, log or a division in the networks")
    _require_moved(pair, before, "the optimizer")


@law("optimizer", cure="train with another optimizer", needs=trainable)
def _optimizer(case: Case) -> None:
    """a step of our Adam moves every parameter as torch.optim.Adam does"""
    pair, other = case.pair().train(), case.pair().train()
    trained = _trained(pair)
    if not trained:
        return
    step, one = Step(ELBO(pair), Optimizer(trained)), torch.ones((), device=case.batch[0].device)
    torch.manual_seed(9)
    _, guarded = step.gradients(case.batch, one, one)
    for parameter, gradient in zip(_trained(other), guarded.gradients, strict=True):
        parameter.grad = gradient.clone(memory_format=torch.contiguous_format)
    torch.optim.Adam(_trained(other), lr=1e-2).step()
    step.optimizer.update(guarded, 1e-2 * one)
    for (name, ours), theirs in zip(pair.named_parameters(), other.parameters(), strict=True):
        if apart(ours, theirs) > TOLERANCE:
            raise LawError(f"our step moves {name} elsewhere than torch's Adam, a fault of pyrovae: please report it")


@law("one datum", cure="take a batch_size that leaves no batch of one datum", needs=trainable)
def _one_datum(case: Case) -> None:
    """a batch of one datum can be trained on"""
    with torch.no_grad(), unvalidated():
        traces(case.pair().train(), [tensor[:1] for tensor in case.batch])


@law("pyro.infer.SVI", cure="model and guide must be plain modules, without pyro.param and PyroModule", needs=trainable)
def _svi(case: Case) -> None:
    """pyro.infer.SVI moves every parameter and leaves the param store empty"""
    pair = case.pair().train()
    before = _state(pair)
    svi = pyro.infer.SVI(pair.model, pair.guide, optim.PyroOptim(torch.optim.Adam, {"lr": 1e-2}), _pyros(case))
    for _ in range(STEPS):
        svi.step(*case.batch)
    _require_moved(pair, before, "pyro.infer.SVI")
    if stored := sorted(pyro.get_param_store().keys()):
        module, apart, _ = stored[0].partition("$$$")
        if apart:
            raise LawError(
                f"pyro.module or a PyroModule puts '{module}' into the global param store, where the next pair of the "
                f"process finds it by name: leave it out and take plain modules; pyrovae itself trains this pair"
            )
        raise LawError(f"the global param store holds '{stored[0]}': make it an nn.Parameter, or it is not saved")


def _require_moved(pair: Pair, before: Mapping[str, Tensor], who: str) -> None:
    trained = {name: p for name, p in pair.named_parameters() if p.requires_grad and p.numel()}
    still = [name for name, parameter in trained.items() if torch.equal(parameter, before[name])]
    if still:
        some = ", ".join(still[:3]) + (" ..." if len(still) > 3 else "")
        raise LawError(
            f"{who} does not move {some} ({len(still)} of {len(trained)} parameters): "
            f"use it in the model or the guide, or take it out"
        )


@law("Trace_ELBO", cure="the pair must run under pyro.infer.Trace_ELBO", needs=trainable)
def _trace_elbo(case: Case) -> None:
    """our ELBO and its gradients equal those of pyro.infer.Trace_ELBO, or TraceEnum_ELBO where a site is summed out"""
    pair = case.pair().train()
    parameters = {name: parameter for name, parameter in pair.named_parameters() if parameter.requires_grad}
    both = []
    start = copy.deepcopy(pair.state_dict())
    for ours in (True, False):
        pair.load_state_dict(start)  # running statistics
        torch.manual_seed(2)
        value = (
            ELBO(pair)(*case.batch).loss
            if ours
            else _pyros(case).differentiable_loss(pair.model, pair.guide, *case.batch)  # type: ignore[no-untyped-call]
        )
        gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True, materialize_grads=True)
        both.append((value.detach(), gradients))
    (loss, gradients), (their_loss, their_gradients) = both
    if apart(loss, their_loss) > TOLERANCE:
        raise LawError(
            f"our loss is {loss:.4f}, that of Pyro's ELBO {their_loss:.4f}: give every site one log_prob a datum"
        )
    for name, a, b in zip(parameters, gradients, their_gradients, strict=True):
        gap = ((a - b).abs().max() / (1 + b.abs().max())).item() if a.numel() else 0.0
        if not gap <= 10 * TOLERANCE:
            raise LawError(f"the gradient of {name} is {gap:.1e} off that of Pyro's ELBO: draw latents with rsample")


@law("lowering", cure="what changes between calls must be a tensor among the arguments", needs=trainable)
def _lowering(case: Case) -> None:
    """training runs torch alone: the graph of a step gives the gradients of eager Pyro"""
    pair = case.pair().train()
    trained = _trained(pair)
    if not trained:
        return
    step, one = Step(ELBO(pair), Optimizer(trained)), torch.ones((), device=case.batch[0].device)
    engine = step.lower([tuple(tensor.roll(i, 0) for tensor in case.batch) for i in range(3)], calls=FEW)
    if engine.tier == "eager":
        raise DoesNotApplyError(f"training runs eager Pyro, because {engine.reason}")
    found, start = [], copy.deepcopy(pair.state_dict())
    for call in (engine.call, step.gradients):
        pair.load_state_dict(start)  # running statistics
        torch.manual_seed(9)
        figures, guarded = call(case.batch, one, one)
        found.append((figures.elbo, guarded.gradients))
    (elbo, gradients), (their_elbo, their_gradients) = found
    gaps = [apart(a, b) for a, b in zip((elbo, *gradients), (their_elbo, *their_gradients), strict=True)]
    if max(gaps) > 10 * TOLERANCE:
        eager = option("compile", False, command="fit")
        raise LawError(f"the graph of a step is {max(gaps):.1e} off eager Pyro: train with {eager}, and report it")


@law("save and load", cure="state lives in parameters and registered buffers only", needs=per_datum)
def _save_and_load(case: Case) -> None:
    """weights that are saved and loaded into a fresh pair give the same log weights"""
    pair, fresh = case.pair().eval(), case.pair(seed=3).eval()
    for tensor in fresh.state_dict().values():
        tensor.zero_()  # a pair that was handed over is copied, and would keep what the file lacks
    tensors.set_weights(fresh, safetensors.torch.load(tensors.to_bytes(tensors.weights(pair))))
    with torch.no_grad():
        values = latents(pair, case)
        before, after = (log_weights(each, case.batch, values=values) for each in (pair, fresh))
    if not torch.equal(before, after):
        raise LawError(
            f"the log weight of a datum is {before[0]:.4f} before saving and {after[0]:.4f} after loading: "
            f"register every tensor that is not recomputed as a parameter or a buffer"
        )


@law("evaluation", cure="scores must be computable in eval mode", needs=per_datum)
def _evaluation(case: Case) -> None:
    """scoring leaves weights, buffers, modes and random generators as they were"""
    pair = case.pair().train()
    modes, before, generator = [part.training for part in pair.modules()], _state(pair), torch.get_rng_state()
    evaluation.elbo(pair, case.batch)
    evaluation.diagnose(pair, case.batch)
    evaluation.usage(pair, case.batch, rate=0.0)
    evaluation.log_likelihood(pair, case.batch, samples=case.K)
    if not torch.equal(generator, torch.get_rng_state()):
        raise LawError("scoring moved torch's generator, which is a fault of pyrovae: please report it")
    if modes != [part.training for part in pair.modules()]:
        raise LawError("scoring left a module in another mode: do not call train() or eval() in forward")
    if changed := [name for name, tensor in _state(pair).items() if not torch.equal(tensor, before[name])]:
        raise LawError(f"scoring changed {', '.join(changed[:3])}: change buffers only while self.training")


def _pyros(case: Case) -> pyro.infer.Trace_ELBO | pyro.infer.TraceEnum_ELBO:
    """Pyro's own ELBO: TraceEnum_ELBO where a site is summed out, which Trace_ELBO would draw."""
    return pyro.infer.TraceEnum_ELBO(max_plate_nesting=1) if case.found.enumerated else pyro.infer.Trace_ELBO()


def _trained(pair: Pair) -> list[nn.Parameter]:
    return [parameter for parameter in pair.parameters() if parameter.requires_grad]


def _state(pair: Pair) -> dict[str, Tensor]:
    """Every parameter and buffer, saved or not."""
    return {name: tensor.detach().clone() for name, tensor in (*pair.named_parameters(), *pair.named_buffers())}
