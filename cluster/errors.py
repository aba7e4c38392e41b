"""The one exception of this package."""


class ClusterError(Exception):
    """The numbers asked for cannot be computed from the numbers given."""
