"""Which clustering of a dataset is best, of all backbones, runs and seeds, without labels."""

from itertools import combinations
from typing import Any

import numpy as np
from tqdm import tqdm

from cluster.ranking.places import concordance, mean_place, spearman
from pages.report.asked import backbones
from pipeline.io.absent import Absent
from pipeline.io.cell import Cell
from pipeline.params import StageError
from pipeline.ranking.candidates import Candidates, place_of, read_candidates
from pipeline.ranking.judge import CRITERIA, RANKED, Judged, judge
from pipeline.ranking.settings import RankSettings
from pipeline.ranking.table import facts_of, table_of, write_ranking
from stages import run


def main(dataset: str, params: RankSettings) -> dict[str, Any]:
    """Rank every clustering of DATASET without a label: by its mean place in modularity and in
    agreement, the mean NMI to the clusterings of other settings.

    All are judged on the images of train that every backbone has, on one graph: the mean of the
    backbones' graphs of shared neighbours. The table rank.csv, a row a clustering, best first, also
    has the edge information after one step and after `lag`, in nats, the stability, the mean ARI to
    the other seeds of the setting, and the silhouette in the space of its backbone. The facts: the
    first of the table, and how far all criteria but the silhouette agree (Kendall's W, Spearman's
    correlations).
    """
    cells = _read(dataset)
    count = sum(len(cell.every) for cell in cells)
    with tqdm(total=count, desc="rank", disable=None, unit="clustering") as bar:
        judged = judge(cells, params, bar.update)
    most = max(len(cell.row) for cell in cells)
    if judged.images < most:
        print(f"rank: on the {judged.images} images that all backbones have, of {most}")
    if judged.neighbors < params.neighbors:
        print(f"rank: {judged.neighbors} neighbours of each backbone, so that the graph fits")
    ranked = {name: judged.scores[name] for name in RANKED}
    order = write_ranking(dataset, judged.candidates, mean_place(ranked), judged.scores)
    best = order[0]
    print(
        f"rank: of {count} clusterings {best.backbone}, {best.run}, k = {best.k}, seed {best.seed} "
        "comes first"
    )
    chosen = {name: getattr(best, name) for name in ("backbone", "run", "setting", "k", "seed")}
    return {"chosen": chosen, "candidates": count, **_facts(judged)}


def _read(dataset: str) -> list[Candidates]:
    """The cells that params.yaml asks for and that have candidates."""
    out, why = [], ""
    for backbone in backbones():
        path = place_of(Cell(dataset, backbone))
        if not path.exists():
            continue
        try:
            out.append(read_candidates(path))
        except Absent as absent:
            why = str(absent)
            print(f"rank: {backbone} is left out: {why}")
    if not out and not why:
        raise StageError(f"{place_of(Cell(dataset, '*'))}: no file; run `dvc repro candidates`")
    if not out:
        raise Absent(why)
    return out


def _facts(judged: Judged) -> dict[str, Any]:
    """Correlations and the concordance are left out where there are none."""
    of = judged.scores
    pairs = {
        f"{one} ~ {other}": spearman(of[one], of[other]) for one, other in combinations(CRITERIA, 2)
    }
    w = concordance(of)
    return {
        "images": judged.images,
        "neighbors": judged.neighbors,
        **({"concordance": round(w, 4)} if np.isfinite(w) else {}),
        "correlations": {name: round(r, 4) for name, r in pairs.items() if np.isfinite(r)},
    }


if __name__ == "__main__":
    run(main, lambda dataset: [table_of(dataset)], metrics=facts_of)
