"""Spectral clustering of the graph of nearest neighbours."""
