"""Measured side by side with what a user would pick instead, and checked in the same run."""
