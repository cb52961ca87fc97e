"""Does a factor change the outcome? Arms of runs compared."""

from analysis.comparison.arms import ComparisonError
from analysis.comparison.compare import Comparison, compare

__all__ = ["Comparison", "ComparisonError", "compare"]
