"""Pictures, one a file: each is drawn without global state and written whole.

The format follows the suffix (png, pdf, svg).
"""

from pyrovae.plots.captioned import captioned
from pyrovae.plots.comparison import comparison
from pyrovae.plots.curves import curves
from pyrovae.plots.grid import image_grid
from pyrovae.plots.ladder import ladder
from pyrovae.plots.latents import Scatter, Shares, latents
from pyrovae.plots.learning import learning
from pyrovae.plots.marginals import marginals
from pyrovae.plots.posteriors import posteriors

__all__ = [
    "Scatter",
    "Shares",
    "captioned",
    "comparison",
    "curves",
    "image_grid",
    "ladder",
    "latents",
    "learning",
    "marginals",
    "posteriors",
]
