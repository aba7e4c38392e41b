"""Nearest centroids by products in few dims, exactly."""
