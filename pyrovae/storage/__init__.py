"""Files, without torch: written whole or not at all, read where they may be, parsed before they are used."""
