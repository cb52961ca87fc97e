"""Sweeps: one recipe over the values of some of its keys, every arm with the same seeds.

Not called `sweep`, which is a function of the package `dcgan`.
"""
