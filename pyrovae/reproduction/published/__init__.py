"""Published figures: a recipe of options each (NAME.toml), tables.toml, and what was obtained (obtained/NAME.json)."""

if __name__ != "pyrovae.experiments":
    raise ImportError(
        "this folder is imported as pyrovae.experiments: run Python from the folder above, or install pyrovae"
    )
