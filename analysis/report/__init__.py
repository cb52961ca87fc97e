"""A report on runs: what was asked, what came out, and whether one can believe it."""

from analysis.report.compose import compose
from analysis.report.save import Format, format_of, save_report

__all__ = ["Format", "compose", "format_of", "save_report"]
