"""Classifiers that are fitted with labels: linear and k-NN."""
