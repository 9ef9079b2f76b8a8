"""`pyrovae guides`."""

from pyrovae import registry
from pyrovae.cli._lists import list_command

command = list_command("List the guide families.", "pyrovae guides", lambda: registry.describe("guides"))
