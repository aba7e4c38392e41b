"""Nearest neighbours, exact and approximate, and what follows from them."""
