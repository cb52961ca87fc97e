"""Compares runs and draws their figures."""

from analysis.runs import Runs, load

__all__ = ["Runs", "load"]
