"""Kernels that the algorithms share: matrix products, argmin, top-k, sums, similarities."""
