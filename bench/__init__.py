"""Measured side by side with what a user would pick instead, and checked in the same run."""

import os

# As stages do (stages/__init__.py), before torch is imported: waiting threads of OpenMP would keep
# the cores from those of numpy
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
