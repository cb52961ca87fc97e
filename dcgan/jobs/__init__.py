"""Turns a configuration into a tracked run."""
