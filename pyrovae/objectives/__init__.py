"""What is minimised: one bound a file, made of the traces of a pair."""
