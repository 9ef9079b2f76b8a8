"""The guide fitted to each datum, with parameters of its own."""
