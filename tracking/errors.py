"""Errors that the user can fix."""


class UserError(Exception):
    """Its message tells the user what was wrong, where, and what would be right."""


class StoreError(UserError):
    """A store that cannot be used, or a run that cannot be found."""


class ServerError(UserError):
    """A server that cannot be started, has ended, or does not answer."""
