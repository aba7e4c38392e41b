"""Heads whose labels linear models of one or several spaces can predict: TURTLE."""
