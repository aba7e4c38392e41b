"""Join several runs of a cell into one clustering, and say how far they agree on each image."""

from typing import Any, Literal, NamedTuple

import numpy as np

import store
from cluster.consensus.agreement import agreement
from cluster.consensus.coassociation import coassociation_graph, find_fragments
from cluster.neighbors.knn_vote import knn_vote
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.spectral.spectral import leading_eigenvectors, spectral
from pages.report.asked import words
from pipeline.fitting.feasible_k import feasible_k
from pipeline.fitting.kmeans import Starts
from pipeline.fitting.train_graph import open_train_graph, save_voted, whole_vectors
from pipeline.io.absent import Absent, read_h5_mark
from pipeline.io.cell import Cell
from pipeline.io.space import Count, K, Seeds, print_space, train_rows
from pipeline.params import PARAMS, Runtime, StageError, torch_device
from stages import run

LIST = "runs.member"  # of params.yaml: the runs that are joined


class Params(Starts):
    k: K
    join: Literal["same_k", "all"]  # which settings of the runs
    neighbors: Count  # of each image, in the graph
    voters: Count  # neighbours that give an image outside `train` its cluster
    seeds: Seeds


class Member(NamedTuple):
    """One clustering: a setting and a seed of a run. own: int32 [image of the store]."""

    run: str
    k: int
    own: np.ndarray


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Join the runs of `runs.member` into one clustering, for every k and seed.

    Fitted on the split `train`; the other images go where their nearest of it are. The probability
    of an image is the share of the clusterings that agree with its cluster. No label is read.
    """
    found, device = store.Features(cell.features), torch_device(runtime.device)
    train = train_rows(found)
    members = _read_members(cell, found)
    joined = {
        k: some
        for k in feasible_k(cell, params.k, found, train, cell.k)
        if (some := _of_k(cell.run, members, k, params.join))
    }
    if not joined:
        ks = ", ".join(map(str, sorted({member.k for member in members})))
        raise StageError(
            f"{PARAMS}: {cell.run}.k: the runs that are joined have {ks} clusters: choose one of "
            "these, or join: all"
        )
    joint = open_train_graph(cell, found, train, max(params.neighbors, params.voters))
    graph = joint.weighted(shared_neighbor_graph(joint.lists(params.neighbors, device)))
    first = joint.rows()
    others = np.setdiff1d(np.arange(len(found)), train)
    vote = [each[others, : params.voters] for each in joint.table]
    fits, facts = [], dict[str, Any]()
    for k, some in joined.items():
        clusterings = [member.own for member in some]
        on_points = [own[first] for own in clusterings]
        fragments = find_fragments(on_points, joint.copies)
        if (most := min(k, len(fragments.size))) < k:
            print(f"{cell.run} k={k}: the runs tell only {most} groups apart; the rest stay empty")
        fit = spectral(
            leading_eigenvectors(
                coassociation_graph(graph, on_points, fragments.fragment), most + 1, fragments.size
            ),
            most, seeds=params.seeds, n_init=params.n_init, max_iter=params.max_iter,
            tol=params.tol, copies=fragments.size, device=device,
        )  # fmt: skip
        assignment = np.empty((len(params.seeds), len(found)), np.int32)
        assignment[:, train] = joint.of_images(fit.assignment[:, fragments.fragment])
        voted = knn_vote(vote[0], vote[1], assignment[:, train], k)
        assignment[:, others] = voted.assignment
        sure = np.stack([agreement(own, clusterings, k, train) for own in assignment])
        voters = np.full(len(params.seeds), vote[0].shape[1], np.int32)
        fits.append(
            {"assignment": assignment, "probability": sure, "loss": fit.loss, "voters": voters}
        )
        facts[f"k{k}"] = {
            "clusterings": len(some),
            "fragments": len(fragments.size),
            "agreement": round(float(sure[:, train].mean(dtype=np.float64)), 4),
        }
    plain, settings = whole_vectors(joint), [(k, 0) for k in joined]
    save_voted(cell, joint, plain, settings, fits, params.seeds)
    runs = ", ".join(dict.fromkeys(member.run for some in joined.values() for member in some))
    return {**print_space(cell.run, plain, settings, f"what {runs} put together"), **facts}


def _read_members(cell: Cell, found: store.Features) -> list[Member]:
    """Every setting and seed of the runs; absent ones are left out, with a line."""
    out: list[Member] = []
    why: dict[str, str] = {}
    for name in words(LIST):
        path = cell.member(cell.run, name)
        if (reason := read_h5_mark(path)) is not None:
            why[name] = reason
            continue
        with store.read(path, "clusters") as file:
            of = (file.attrs["dataset"], file.attrs["backbone"])
            if of != (found.dataset, found.backbone) or not np.array_equal(file["row"], found.row):
                raise StageError(f"{path} is of other images than {found.path}: run `dvc repro`")
            for setting, k in enumerate(file["k"].tolist()):
                out += [Member(name, k, own) for own in file[f"{setting}/assignment"]]
    if why:
        print(f"{cell.run}: absent runs left out: {', '.join(why)}")
    if not out and why:
        raise Absent(f"no run is there to be joined: {next(iter(why.values()))}")
    if not out:
        raise StageError(f"{PARAMS}: {LIST} is empty: name the runs that {cell.run} is to join")
    return out


def _of_k(name: str, members: list[Member], k: int, join: str) -> list[Member]:
    """The clusterings that are joined into k clusters; prints a line where there are none."""
    some = [member for member in members if join == "all" or member.k == k]
    if not some:
        print(f"{name}: k of {k} left out: no run has so many clusters (join: all takes any)")
    return some


if __name__ == "__main__":
    run(main, "clusters")
