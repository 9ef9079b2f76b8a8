"""A trained pair with its data, recipe and scores: its verbs, and its directory."""
