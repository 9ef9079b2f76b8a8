"""log p(x) by importance samples, and how far to trust it."""
