"""Estimators of `pyrovae loglik`: the name of a file is what `--method` takes; see `pyrovae.cli._method`."""
