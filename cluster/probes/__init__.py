"""Supervised probes of features: a linear classifier and a k-NN classifier."""
