"""Clusterings of all cells of a dataset, side by side."""
