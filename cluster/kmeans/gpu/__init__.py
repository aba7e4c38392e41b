"""The steps of k-means on a GPU: many rows at once, few operations, and rarely waiting."""
