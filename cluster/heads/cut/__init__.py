"""Linear heads that cut the graph of neighbours: PRCut, H-RCut, H-NCut."""
