"""Fitting a pair: from names to a plan, epochs of steps, held-out scores, a journal."""
