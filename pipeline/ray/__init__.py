"""Tasks of a stage on every machine of a Ray cluster (Moritz et al., 2018, arXiv:1712.05889).

Shards of a store, blocks of rows, clusters and seeds are the tasks; actors hold a backbone or the
vectors. All machines see the project at the same path. Ray schedules, moves results and tries again
elsewhere what a lost machine had; nothing of ours does.
"""
