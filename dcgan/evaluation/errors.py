"""Errors of evaluations."""

from tracking.errors import UserError


class EvaluationError(UserError):
    """An evaluation that cannot be run, explained for the user."""
