"""List the data sets."""

from pyrovae.cli._lists import list_command
from pyrovae.data.catalogue import sources

SECTION = "List"
PLACE = 3

command = list_command(
    "List the data sets. Anything else that `fit --data` takes is a path.",
    "pyrovae data",
    lambda: {name: source.summary for name, source in sources().items()},
)
