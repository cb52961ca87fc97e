"""The metrics of an evaluation, by what they measure in."""
