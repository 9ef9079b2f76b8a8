"""Priors p(z): families without a context, one a file, found by the name of the file.

To add one, add a file `name.py` with one class, or one function that gives a module, of that name (in any case):

    class Name(nn.Module):
        def __init__(self, features: int, steps: int = 2): ...
        def forward(self) -> Distribution: ...              # batch shape (), event shape (features,)

The distribution scores values of any left shape and expands; constants are buffers that are not saved. Parameters
`posterior`, of the guide, what `of` describes -> q(z | .), and `of`, the field of the data or the dimensions of the
latent below z, are given where it has them. The others are its options, `prior="name:steps=4"`; bounds and help are
`Annotated[int, pydantic.Field(ge=1, description="...")]`. The first line of the file's docstring is its help. Packages
add theirs by the entry point group `pyrovae.priors`, and `prior="my_file.py:MyPrior"` takes one's own. A file without a
class or function of its name is a helper.

`PriorConfig` and `prior` offer them to the variants. A conditional prior p(z | y) is a guide family on the features of
y.
"""

from pyrovae.priors.choose import PriorConfig, prior
from pyrovae.priors.flow import FlowPrior
from pyrovae.priors.standard import StandardNormal
from pyrovae.priors.vamp import VampPrior

__all__ = ["FlowPrior", "PriorConfig", "StandardNormal", "VampPrior", "prior"]
