"""Rows of vectors: reading, caching, scaling and projecting them."""
