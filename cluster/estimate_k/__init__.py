"""Criteria for the number of clusters, and how they vote."""
