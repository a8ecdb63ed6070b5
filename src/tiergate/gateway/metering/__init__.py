"""What requests cost and who may spend how much: prices, usage, limits across workers, and what was spent."""
