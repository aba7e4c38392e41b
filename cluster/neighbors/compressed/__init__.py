"""Approximate neighbours by compressed vectors, for collections that do not fit in memory."""
