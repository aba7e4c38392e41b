"""Nearest neighbours, exact and approximate, and methods that use them."""
