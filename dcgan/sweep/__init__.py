"""Sweeps: one recipe over the values of some of its keys, every arm with the same seeds."""
