"""Hand the clusters of a run over to consensus: a copy, in a folder of its own.

Stage consensus watches that folder and writes among the clusters, and DVC runs no stage that both
watches a folder and writes into it.
"""

from pipeline.io.cell import Cell
from pipeline.io.clusters import read_clusters
from pipeline.io.whole import whole_bytes
from stages import run


def main(cell: Cell, into: str, clusters_of: str) -> None:
    """Copy the clusters of the run CLUSTERS_OF, such as kmeans, to where the run INTO of consensus
    reads them."""
    clusters = cell._replace(run=clusters_of).clusters
    with read_clusters(clusters):  # it is there and whole
        pass
    with whole_bytes(cell.member(into, clusters_of)) as file:
        file.write(clusters.read_bytes())
    print(f"member: {into} is to join {clusters_of}")


if __name__ == "__main__":
    run(main, lambda cell, into, clusters_of: [cell.member(into, clusters_of)])
