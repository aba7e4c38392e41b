"""Curation: the part of a large collection that is worth keeping, chosen without labels."""
