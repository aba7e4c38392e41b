"""K-means: Lloyd's algorithm with bounds, mini-batches, balanced and half-labelled."""
