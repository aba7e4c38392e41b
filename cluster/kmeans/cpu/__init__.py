"""The assignment step of k-means on a CPU."""
