"""What can go wrong that is the user's to mend."""


class UserError(Exception):
    """Says in words for the user what was wrong, where, and what would be right."""


class StoreError(UserError):
    """A store that cannot be used, or a run that cannot be found."""


class ServerError(UserError):
    """A server that cannot be started, has ended, or does not answer."""
