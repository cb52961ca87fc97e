"""Compares runs, and draws them."""

from analysis.runs import Runs, load

__all__ = ["Runs", "load"]
