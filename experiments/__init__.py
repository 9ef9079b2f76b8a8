"""Recipes: one TOML file for each row of docs/results.md, and what was obtained with it; run by `pyrovae reproduce`."""

if __name__ != "pyrovae.experiments":
    raise ImportError(
        "this folder is imported as pyrovae.experiments: run Python from the folder above, or install pyrovae"
    )
