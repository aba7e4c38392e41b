"""Heads that are trained on frozen features: SCAN, self-labelling, TEMI, SimGCD, PIM."""
