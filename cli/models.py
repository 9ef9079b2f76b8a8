"""`pyrovae models`."""

from pyrovae import registry
from pyrovae.cli._lists import list_command

command = list_command("List the models.", "pyrovae models", lambda: registry.describe("models"))
