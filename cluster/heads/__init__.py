"""Heads that are trained on frozen features: SCAN, self-labelling, TEMI, graph cuts, TURTLE, SimGCD, PIM."""
