"""The pairs: each file is one variant, p and q written out in full."""

if __name__ != "pyrovae.models":
    raise ImportError("this folder is imported as pyrovae.models: run Python from the folder above, or install pyrovae")
