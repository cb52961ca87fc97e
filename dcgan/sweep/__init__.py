"""Sweeps: one recipe over the values of some keys, every arm with the same seeds."""
