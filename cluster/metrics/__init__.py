"""Scores of clusterings, with labels and without."""
