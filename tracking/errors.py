"""What can go wrong that is the user's to mend."""


class StoreError(Exception):
    """A store that cannot be used, or a run that cannot be found, in words for the user."""
