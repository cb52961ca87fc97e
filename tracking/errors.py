"""Errors that the user can fix, and warnings of what was left out."""

import warnings


class UserError(Exception):
    """Its message tells the user what was wrong, where, and what would be right."""


class StoreError(UserError):
    """A store that cannot be used, or a run that cannot be found."""


class ServerError(UserError):
    """A server that cannot be started, has ended, or does not answer."""


class StoreWarning(UserWarning):
    """A part of a store that is damaged and left out; the rest is read."""


def warn(message: str) -> None:
    """Warn of a part of a store that is left out; the command line prints it once."""
    warnings.warn(message, StoreWarning, stacklevel=2)
