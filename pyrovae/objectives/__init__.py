"""What is minimised: one bound a file, made of the traces of a pair, found by the name of the file.

To add an objective, add a file `name.py` with one class of that name (in any case); nothing else is edited:

    class Name(nn.Module):
        least: ClassVar = 2             # particles that it needs; 1 where it is left out
        takes: ClassVar = ("alpha",)    # which of `pyrovae.options.OF_OBJECTIVES` mean something to it; else none

        @classmethod
        def refuse(cls, config: TrainConfig) -> None: ...  # UsageError; may be left out
        @classmethod
        def build(cls, pair, batch: Sequence[Tensor], config: TrainConfig, tau: float = 1.0) -> Name: ...
        def forward(self, *batch: Tensor, kl_weight=1.0, fraction=1.0) -> Terms: ...  # as in elbo.py

`build` raises PyrovaeError for a pair that the objective would train wrongly, before any step: `require_trainable` and
`refuse_enumerated` (elbo.py), `require_weights` (weights.py) and `require_repeatable` (pathwise.py) look at its sites.
Parameters of `build` after `config` are the objective's own options, with types and defaults:
`objective="name:tau=0.5"`. What it `takes` is written there, too, or by itself: `objective="renyi:alpha=0.5"` is
`objective="renyi", alpha=0.5`.

`forward` gives sums over the batch, in nats; `kl_weight` and `fraction` are tensors, and nothing in it depends on
values, so that it is lowered. State is that of the pair. The first line of the file's docstring is its help.

Files without a class of their own name are what objectives are made of, and no objectives. Packages add theirs by the
entry point group `pyrovae.objectives`, which names the class; your own is `objective="my_file.py:MyObjective"`.
"""
