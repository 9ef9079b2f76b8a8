"""Published figures and ours, a recipe a row: read, run, scored, and printed side by side."""
