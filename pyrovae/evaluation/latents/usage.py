"""Whether and how a pair uses its latents: information, marginal KL, swap and moments together."""

import dataclasses
from collections.abc import Mapping, Sequence

from torch import Tensor

from pyrovae.evaluation.latents.aggregate import Aggregate, aggregate, prior_depends_on_data, worst
from pyrovae.evaluation.latents.information import Information, mutual_information
from pyrovae.evaluation.latents.swap import Swap, swap_loss
from pyrovae.pairs.pair import Pair
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json


@dataclasses.dataclass(frozen=True)
class Usage:
    """What the latents of a pair carry, in nats a datum.

    Attributes:
        information: I(x; z); None where there is no latent site.
        marginal_kl: KL(q(z) || p(z)) = rate - I(x; z), not below 0: that of the data as they are where I(x; z) is of
            all of them, and an upper bound in expectation for the distribution they come from. None where the prior
            depends on the data, as p(z | y) does: there is no one p(z) then.
        marginal_kl_lower: rate - the upper bound of I(x; z), not below 0.
        conditional_prior: whether the prior depends on the data.
        swap: the loss of log p(x | z) when latents go to another datum; None for one datum.
        aggregate: for each latent site, the moments of q(z) and p(z).
    """

    information: Information | None
    marginal_kl: float | None
    marginal_kl_lower: float | None
    conditional_prior: bool
    swap: Swap | None
    aggregate: Mapping[str, Aggregate]

    def summary(self) -> Json:
        """As JSON; `worst` names the dimensions whose moments differ most from the prior's."""
        return {**dataclasses.asdict(self), "worst": list(worst(self.aggregate))}


def usage(pair: Pair, batch: Sequence[Tensor], rate: float, seed: int = 0, show: Progress | None = None) -> Usage:
    """All of it for a batch; leaves weights, modes and random generators as they were.

    Args:
        pair: any pair whose sites all stand in the plate "data".
        batch: N data.
        rate: of all latent sites over this batch, as `diagnose` gives it.
        seed: of what is drawn.
        show: where it is said that memory ran out and smaller pieces are taken.

    Raises:
        PyrovaeError: where a site stands outside the plate "data".
    """
    information = mutual_information(pair, batch, seed, show=show)
    if information is None:
        return Usage(None, None, None, False, None, {})
    conditional = prior_depends_on_data(pair, batch, seed)
    bounded = not conditional and information.upper is not None
    return Usage(
        information=information,
        marginal_kl=None if conditional else max(0.0, rate - information.nats),
        marginal_kl_lower=max(0.0, rate - information.upper) if bounded and information.upper is not None else None,
        conditional_prior=conditional,
        swap=swap_loss(pair, batch, seed, show),
        aggregate=aggregate(pair, batch, seed, show),
    )
