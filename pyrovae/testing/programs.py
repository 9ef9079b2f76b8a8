"""Laws on the two programs as they are written: their sites, and what they read."""

from collections.abc import Iterable

import torch
from torch import Tensor

from pyrovae.pairs.arguments import misplaced
from pyrovae.pairs.assumptions import TOLERANCE, apart, interacts, leaks, noisy
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.normalisers import improper
from pyrovae.pairs.strays import require_supported
from pyrovae.pairs.traces import draw, log_weights, sites
from pyrovae.testing.law import Case, LawError, latents, law, per_datum, refuse, trainable


@law("structure", cure="every site stands in pyro.plate('data', len(x), dim=-1), and .to_event(n) covers one datum")
def _structure(case: Case) -> None:
    """model and guide have the same latent sites, all in plate 'data', one log-probability a datum"""
    structure, wrong = case.found, []
    if structure.missing:
        wrong.append(f"latent sites {structure.missing} stand in only one of model and guide: give both the same sites")
    for name, (model, guide) in structure.misshapen.items():
        wrong.append(f"site '{name}' has event shape {model} in the model and {guide} in the guide: give both the same")
    if structure.outside:
        wrong.append(
            f"sites {structure.outside} stand outside of pyro.plate('data', len(x), dim=-1): move them into it"
        )
    for name, shape in structure.shapes.items():
        if name not in structure.outside:
            wrong.append(f"site '{name}' has log_prob of shape {shape}, must be ({case.B},): add .to_event(n)")
    wrong += [f"site '{name}' stands under {how}: leave the handler out" for name, how in structure.weighed.items()]
    if structure.stored:
        wrong.append(f"pyro.param '{structure.stored[0]}' stands in Pyro's global store: make it an nn.Parameter")
    if structure.unnamed:
        wrong.append(f"observed sites {structure.unnamed} are none of the fields: give each the name of its field")
    if structure.guide_observes:
        wrong.append(f"the guide observes {structure.guide_observes}: leave that to the model, or use pyro.factor")
    if drawn := [name for name in structure.score if name not in structure.enumerated]:
        wrong.append(
            f"sites {drawn} have no rsample, so no gradient: take another distribution, or sum a discrete one out with "
            f"infer={{'enumerate': 'parallel'}}"
        )
    if not structure.generated:
        wrong.append("the model observes no field: give the site of the data obs=x and the name of its field")
    pair = case.pair()
    for name in structure.generated:
        field, tensor = case.fields.get(name), case.batch[pair.inputs.index(name)]
        with torch.no_grad(), unvalidated():
            event = tuple(sites(draw(pair.model, case.batch))[name]["fn"].event_shape)
        # Sentences are cut to the longest of their batch.
        wanted = tuple(tensor.shape[1:]) if field is None or field.kind == "tokens" else field.shape
        if event != wanted and name not in structure.shapes:
            wrong.append(f"site '{name}' has event shape {event}, its field {wanted}: give the site the field's shape")
    if wrong:
        raise LawError("; ".join(wrong))


@law("supports", cure="every value must lie where its distribution has a density", needs=trainable)
def _supports(case: Case) -> None:
    """data, and what the guide draws, lie in the supports of the model's distributions"""
    require_supported(case.pair(), case.batch)


@law("arguments", cure="every parameter of a distribution must lie where it is defined")
def _arguments(case: Case) -> None:
    """the parameters of every distribution lie where it has them: scales are positive"""
    pair = case.pair().eval()
    with torch.no_grad(), unvalidated():
        for program in (pair.guide, pair.model):
            for told in misplaced(draw(program, case.batch)):
                raise LawError(told)


@law("leak", cure="the model may read the shape of a field that it generates, never its content")
def _leak(case: Case) -> None:
    """the model never reads the content of what it generates"""
    pair = case.pair().eval()
    if all(torch.equal(tensor[:1].expand_as(tensor), tensor) for tensor in case.batch):
        raise LawError("all rows of the batch are alike, so nothing can be told from them: give other data")
    with torch.no_grad(), unvalidated():
        refuse(leaks(pair, case.batch, case.found))


@law("rows", cure="act on the last dims of each datum", needs=per_datum)
def _rows(case: Case) -> None:
    """the log weight of a datum does not depend on the other data of its batch"""
    pair = case.pair().eval()
    with torch.no_grad():
        refuse(noisy(pair, case.batch) or interacts(pair, case.batch))


@law("particles", cure="act on the last dims; pyrovae.nets.fold calls what takes one left dim", needs=per_datum)
def _particles(case: Case) -> None:
    """log weights of [K, B] equal a loop over K"""
    pair = case.pair().eval()
    with torch.no_grad():
        values = latents(pair, case, case.K)
        at_once = log_weights(pair, case.batch, case.K, values)
        loop = [log_weights(pair, case.batch, None, {n: z[k] for n, z in values.items()}) for k in range(case.K)]
    if at_once.shape != (case.K, case.B):
        raise LawError(
            f"log weights have shape {tuple(at_once.shape)}, must be ({case.K}, {case.B}): act on the last dims"
        )
    gap = apart(at_once, torch.stack(loop))
    if gap > TOLERANCE:
        raise LawError(
            f"log weights of [K, B] = {[case.K, case.B]} differ from a loop over K by {gap:.1e} of their size: "
            f"call convolutions, GRUs and norms through pyrovae.nets.fold, and flatten from the right, x.flatten(-3)"
        )


@law("float64", cure="take dtype and device from what comes in, not .float()", needs=per_datum)
def _float64(case: Case) -> None:
    """log weights in double precision equal those in single precision"""
    pair = case.pair().eval()
    with torch.no_grad():
        values = latents(pair, case)
        single = log_weights(pair, case.batch, values=values)
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            exact = dict(zip(values, _double(values.values()), strict=True))
            double = log_weights(pair.double(), _double(case.batch), values=exact)
        finally:
            torch.set_default_dtype(default)
    if apart(single.double(), double) > 50 * TOLERANCE:
        raise LawError(
            f"the log weight of a datum is {single[0]:.4f} in float32 and {double[0]:.4f} in float64: "
            f"look for exp and log that meet large numbers, and use logits, softplus and logsumexp"
        )


@law("normaliser", cure="take another distribution", needs=per_datum)
def _normaliser(case: Case) -> None:
    """the distributions of independent numbers integrate to one in the precision of the pair"""
    pair = case.pair().eval()
    with torch.no_grad(), unvalidated():
        refuse(improper(pair, case.batch))


def _double(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor.double() if tensor.is_floating_point() else tensor for tensor in tensors]
