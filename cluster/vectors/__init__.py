"""Rows of vectors: where they lie, how they are read, scaled and projected."""
