"""log p(x) by chains from the prior or the guide to the posterior, and bounds from both sides."""
