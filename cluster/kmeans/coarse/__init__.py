"""Nearest centroids by cheap products whose error is bounded, exactly."""
