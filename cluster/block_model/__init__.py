"""Clusters as the blocks of a degree-corrected stochastic block model of the neighbour graph."""
