"""From names to variants, guide families, objectives, likelihoods and priors.

A name is a file of `models/`, `guides/`, `objectives/`, `likelihoods/` or `priors/`, an entry point (groups
`pyrovae.models`, `pyrovae.guides`, `pyrovae.objectives`, `pyrovae.likelihoods`, `pyrovae.priors`), or the user's own:
`my_model.py:MyVAE`, `package.module:MyVAE`. Listing names imports nothing, and this imports no torch.
The options of a model are read without it where they can be (excerpts.py).
"""

from pyrovae.registry.bounds import Bound, bound, bound_config
from pyrovae.registry.families import Family, GuideSpec, family, guide_config
from pyrovae.registry.names import describe
from pyrovae.registry.own_code import code, found_in, own_code
from pyrovae.registry.parts import Part, is_foreign, part, require_own_parts, settled
from pyrovae.registry.specs import split_guides, split_spec
from pyrovae.registry.variants import GIVEN_TO_MODEL, Variant, handed_over, variant, variant_options

__all__ = [
    "GIVEN_TO_MODEL",
    "Bound",
    "Family",
    "GuideSpec",
    "Part",
    "Variant",
    "bound",
    "bound_config",
    "code",
    "describe",
    "family",
    "found_in",
    "guide_config",
    "handed_over",
    "is_foreign",
    "own_code",
    "part",
    "require_own_parts",
    "settled",
    "split_guides",
    "split_spec",
    "variant",
    "variant_options",
]
