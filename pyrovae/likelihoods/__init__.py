"""Likelihoods: h -> p(x | h), one a file, found by the name of the file.

To add one, add a file `name.py` with one class, or one function that gives a module, of that name (in any case):

    class Name(nn.Module):
        outputs = 1                                         # numbers of h a dim of x
        def __init__(self, field: Field, at_mean: bool = True, width: float = 1.0): ...
        def forward(self, h: Tensor, mask: Tensor | None = None) -> Distribution: ...
        def bias(self, field: Field) -> Tensor | None: ...

`forward` takes (*L, outputs * shape[0], *shape[1:]) to batch shape L and event shape `field.shape`; `mask`, of the
event's shape, says which dims are scored. `bias` is where the decoder's output starts: what gives the training mean, or
None where that is not known or `at_mean` is false. Parameters after these two are its options,
`likelihood="name:width=2"`; bounds and help are `Annotated[float, pydantic.Field(gt=0, description="...")]`. What does
not fit the data is refused by UsageError. The first line of the file's docstring is its help. Packages add theirs by
the entry point group `pyrovae.likelihoods`, and `likelihood="my_file.py:MyLikelihood"` takes one's own. A file without
a class or function of its name is a helper.
"""

from pyrovae.likelihoods.bernoulli import Bernoulli
from pyrovae.likelihoods.choose import Likelihood, LikelihoodConfig, likelihood
from pyrovae.likelihoods.normal import Normal
from pyrovae.likelihoods.tokens import Autoregressive

__all__ = ["Autoregressive", "Bernoulli", "Likelihood", "LikelihoodConfig", "Normal", "likelihood"]
