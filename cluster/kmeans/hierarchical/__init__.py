"""K-means of many thousand clusters, by the division of fewer."""
