"""k-means over a Ray cluster: by parts of the rows, or by seeds."""
