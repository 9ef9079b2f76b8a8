"""`pyrovae models`."""

from pyrovae.cli._lists import list_command
from pyrovae.registry import variants as registry

command = list_command("List the models.", "pyrovae models", lambda: registry.describe("models"))
