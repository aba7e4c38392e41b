"""The inner loops: products, nearest centroids, lists of neighbours, sums of clusters."""
