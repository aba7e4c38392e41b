"""Estimate the number of clusters: criteria, and the consensus of their votes."""
