"""List the guide families."""

from pyrovae import registry
from pyrovae.cli._lists import list_command

SECTION = "List"
PLACE = 2

command = list_command("List the guide families.", "pyrovae guides", lambda: registry.describe("guides"))
