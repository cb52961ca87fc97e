"""A report on runs: the question, the result, and the evidence for it."""

from analysis.report.compose import compose
from analysis.report.save import Format, format_of, save_report

__all__ = ["Format", "compose", "format_of", "save_report"]
