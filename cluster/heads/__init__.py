"""Heads on frozen features: SCAN, self-labelling, TEMI, graph cuts, TURTLE, SimGCD, PIM."""
