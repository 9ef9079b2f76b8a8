"""Guide families: features of x -> q(z | x), one family a file, found by the name of the file.

To add a family, add a file `name.py` with one class of that name (in any case):

    class Name(nn.Module):
        def __init__(self, context: int, features: int, steps: int = 2): ...
        def forward(self, h: Tensor) -> Distribution: ...   # (*L, context) -> batch shape L, event shape (features,)

The distribution has `rsample` and scores values of any left shape, its own samples and foreign ones; scales come
from softplus. Parameters after `features` are its options: `--guide name:steps=4`. State lives in parameters and
registered buffers only. The first line of the file's docstring is what `pyrovae guides` prints.
"""
