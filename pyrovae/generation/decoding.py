"""Words at a temperature."""

import math

from pyro.poutine.messenger import Messenger

from pyrovae.errors import UsageError, option
from pyrovae.likelihoods import Autoregressive
from pyrovae.pairs.traces import Site


def require_temperature(temperature: float | None, text: bool) -> None:
    """Raises UsageError for a temperature that is no finite number of at least 0, or of what is no text."""
    if temperature is None:
        return
    if not text:
        what = option("temperature")
        raise UsageError(f"{what} is of the words of sentences, and these data are no text: leave it out")
    if not 0 <= temperature < math.inf:
        raise UsageError(f"temperature = {temperature:g}: give a finite number of at least 0")


class Decoding(Messenger):
    """Inside, sentences are drawn at a temperature (`pyrovae.likelihoods.Autoregressive.draw`): at 1 from p(x | z), at
    any other without <unk>, which nobody can read."""

    def __init__(self, temperature: float | None) -> None:
        super().__init__()
        self.temperature = 1.0 if temperature is None else temperature

    def _pyro_sample(self, msg: Site) -> None:
        if isinstance(msg["fn"], Autoregressive) and not msg["done"] and not msg["is_observed"]:
            unknown = getattr(msg["fn"].decoder, "unk", None)
            without = [] if unknown is None or self.temperature == 1 else [unknown]
            msg["value"], msg["done"] = msg["fn"].draw(temperature=self.temperature, without=without), True
