"""Guide families: features of x -> q(z | x), one family a file, found by the name of the file.

To add a family, add a file `name.py` with one class of that name (in any case):

    class Name(nn.Module):
        def __init__(self, context: int, features: int, steps: int = 2): ...
        def forward(self, h: Tensor) -> Distribution: ...   # (*L, context) -> batch shape L, event shape (features,)

The distribution has `rsample` and scores values of any left shape, its own samples and foreign ones; scales come
from softplus, flows start close to the identity. Parameters after `features` are its options: `guide="name:steps=4"`.
State lives in parameters and registered buffers only, and `forward` reads them all: the distribution holds tensors, not
modules, so that it is right after `torch.func.functional_call` has ended. Nothing in it depends on values, writes in
place or is an autograd.Function of its own, so that it is traced and vmapped. `pyrovae.flows` has the pieces; add the
spec to GUIDES in tests/conftest.py. The first line of the file's docstring is what `pyrovae guides` prints.

In a pair with several latent sites, the guide says for which one it asks: `family(context, features, site="z1")`.
`guide="z1=iaf:steps=4,z2=diagonal"` then gives each its own.
"""
