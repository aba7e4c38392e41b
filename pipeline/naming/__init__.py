"""Words for clusters: the vocabulary, its vectors, and the file of what was chosen."""
