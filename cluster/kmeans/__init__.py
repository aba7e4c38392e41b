"""K-means: Lloyd's algorithm with Hamerly's bounds, mini-batch, balanced and semi-supervised."""
