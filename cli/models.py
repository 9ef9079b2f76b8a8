"""List the models."""

from pyrovae import registry
from pyrovae.cli._lists import list_command

SECTION = "List"
PLACE = 1

command = list_command("List the models.", "pyrovae models", lambda: registry.describe("models"))
