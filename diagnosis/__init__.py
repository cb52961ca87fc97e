"""What is wrong with a training: rules over its metrics, its image grids and its data.

The engine asks while a run is trained, the analysis afterwards, and both get the same answers:
nothing here imports either of them, or PyTorch. Every rule names its source.
"""

from diagnosis.findings import Finding
from diagnosis.follow import RunWatch
from diagnosis.readings import Undecided
from diagnosis.rules import RULES, Rule, RuleName

__all__ = ["RULES", "Finding", "Rule", "RuleName", "RunWatch", "Undecided"]
