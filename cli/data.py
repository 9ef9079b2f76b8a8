"""`pyrovae data`."""

from pyrovae.cli._lists import list_command
from pyrovae.data.catalogue import sources

command = list_command(
    "List the data sets. Anything else that --data takes is a path.",
    "pyrovae data",
    lambda: {name: source.summary for name, source in sources().items()},
)
