"""`pyrovae guides`."""

from pyrovae.cli._lists import list_command
from pyrovae.registry import variants as registry

command = list_command("List the guide families.", "pyrovae guides", lambda: registry.describe("guides"))
