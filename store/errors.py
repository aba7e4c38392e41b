"""The one exception of this package."""


class StoreError(Exception):
    """A file of the store is missing, broken, of an unknown kind, or cannot be written."""
