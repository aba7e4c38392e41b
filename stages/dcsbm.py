"""Cluster the neighbour graph by edge information: a degree-corrected stochastic block model."""

from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from cluster.block_model.dcsbm import Found, best_ascent, polished
from cluster.block_model.starts import Source, eigenvectors_for, starts
from cluster.spectral.spectral import leading_eigenvectors
from cluster.vectors.rows import cached
from pipeline.fitting.checkpoint import Checkpoint, checkpoint_inputs
from pipeline.fitting.edge_graph import EdgeGraph, Edges, open_edge_graph
from pipeline.fitting.feasible_k import feasible_k
from pipeline.fitting.kmeans import Starts
from pipeline.fitting.train_graph import save_voted, voted_everywhere, whole_vectors
from pipeline.io.cell import Cell
from pipeline.io.space import Count, K, Seeds, open_space, print_space
from pipeline.params import Runtime, torch_device
from stages import run


class Params(Edges, Starts):
    k: K
    eigenvectors: Count  # that the starts may use, at most
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Cluster the images of the cell by the edge information of their graph, for every k and seed.

    Fitted on the split `train`; the other images go where their nearest of it are. The loss is
    minus the information, in nats, of the polished clusters; no label is read (the index says how
    many classes are expected). The metrics: the information, and how many parts the graph falls
    into. A killed run goes on after the last start that was done.
    """
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    all_k = feasible_k(cell, params.k, space.found, space.train, cell.k)
    edges = open_edge_graph(cell, space, params, runtime)
    joined, graph = edges.joined, edges.graph
    m = max(eigenvectors_for(k, params.eigenvectors) for k in all_k)
    leading = leading_eigenvectors(graph, m, joined.copies)
    vectors = cached(edges.leading, runtime.memory_gb)
    source = Source(graph, leading, vectors, joined.copies)
    follows = checkpoint_inputs(space, params, {"table": joined.table.neighbor})
    settings = params.model_dump(include={"lag", "sweeps", *Starts.model_fields})
    kept, fits = list[Checkpoint](), list[dict[str, np.ndarray]]()
    for k in all_k:
        found = []
        for seed in params.seeds:
            inputs = {**follows, "k": k, "seed": seed}
            kept.append(Checkpoint(cell.clusters, f"k{k}-s{seed}", inputs))
            nine = partial(
                starts, source, k, seed=seed, most=params.eigenvectors, device=device, **settings
            )
            found.append(_fit(edges, nine(), k, seed, params, kept[-1], cell.run, device))
        own = np.stack([each.assignment for each in found])
        everyone = voted_everywhere(joined, own, k, params.voters)
        fits.append({**everyone, "loss": np.array([-each.information for each in found])})
    where, plain = [(k, 0) for k in all_k], whole_vectors(joined)
    save_voted(cell, joined, plain, where, fits, params.seeds)
    for checkpoint in kept:
        checkpoint.remove()
    near = f"the graph of neighbours in {edges.vectors.dim} principal components"
    space_fact, parts = print_space(cell.run, plain, where, near), leading.component.max() + 1
    if parts > 1:
        print(
            f"{cell.run}: the graph of {params.neighbors} neighbours falls into {parts} parts; "
            f"raise {cell.run}.neighbors if that is too many"
        )
    information = [[round(-float(loss), 4) for loss in fit["loss"]] for fit in fits]
    return {**space_fact, "components": int(parts), "information": information}


def _fit(
    edges: EdgeGraph,
    nine: list,
    k: int,
    seed: int,
    params: Params,
    kept: Checkpoint,
    run: str,
    device: str,
) -> Found:
    """The polished best of the starts."""
    done = int(kept.resume["at"]) if kept.resume else 0
    name = f"{run} k={k} seed={seed}"
    with tqdm(total=len(nine), initial=done, desc=name, disable=None, unit="start") as bar:

        def progress(most: float) -> None:
            bar.set_postfix(information=f"{most:.4f}", refresh=False)
            bar.update()

        best = best_ascent(
            edges.graph, nine, k, lag=params.lag, seed=seed, sweeps=params.sweeps,
            at_once=device == "cpu", resume=kept.resume, checkpoint=kept.offer, progress=progress,
        )  # fmt: skip
    copies = edges.joined.copies
    return polished(
        edges.graph, edges.vectors, best.assignment, k, lag=params.lag, seed=seed, copies=copies
    )


if __name__ == "__main__":
    run(main, "clusters")
