"""The training engine: Goodfellow et al. 2014, algorithm 1."""
