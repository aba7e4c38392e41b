"""The numerics: arrays in, arrays out. No files, no settings, no printing."""

from cluster.errors import ClusterError

__all__ = ["ClusterError"]
