"""Fused kernels for GPUs, in Triton, and what surrounds them in torch.

The modules that import triton (launch, nearest3, collect) are themselves imported by available.py
alone, where there is a GPU or triton's interpreter takes its place.
"""
