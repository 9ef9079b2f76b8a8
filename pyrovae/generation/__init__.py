"""What a pair generates: draws, words at a temperature, and what may be given to it."""
