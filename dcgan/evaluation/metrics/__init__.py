"""The metrics of an evaluation, grouped by the space in which they measure."""
