"""From names to variants, guide families and data sets.

A name is a file of `models/` or `guides/`, an entry point (groups `pyrovae.models`, `pyrovae.guides`), or the user's
own: `my_model.py:MyVAE`, `package.module:MyVAE`. Listing names imports nothing, and this imports no torch.
"""

from pyrovae.registry.families import Family, family, guide_config
from pyrovae.registry.names import describe
from pyrovae.registry.own_code import code, found_in, own_code
from pyrovae.registry.specs import split_guides, split_spec
from pyrovae.registry.variants import Variant, variant

__all__ = [
    "Family",
    "Variant",
    "code",
    "describe",
    "family",
    "found_in",
    "guide_config",
    "own_code",
    "split_guides",
    "split_spec",
    "variant",
]
