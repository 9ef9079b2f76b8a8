"""Published figures: a recipe each (NAME.toml), tables.toml, and what was obtained with them (obtained/NAME.json)."""
