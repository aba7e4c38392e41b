"""A part of the rows under k-means: the unit of work of an engine, on this machine or another.

It remembers the cluster of each image in each run, and how much nearer than any other that
centroid is, at least. Centroids that moved by less leave the image where it is (Hamerly, SDM 2010,
with one bound in place of two): it is not looked at. Sums change by the images that moved.
But: what is remembered is only speed. A part that lost it finds the same clusters again from the
centroids of the pass before.
"""

from typing import NamedTuple, final

import torch

from cluster.cores import on_cores
from cluster.distances import distances
from cluster.nearest import Targets, nearest, targets
from cluster.rows import TILE
from cluster.sums import Sums, group_sums, total
from cluster.view import View

PART = 65_536  # rows of a part: fixed, since it is the order of sums
TOGETHER = 512  # clusters of all runs in one product: fewer are no faster, more skip fewer images
NORMS = 1024  # rows whose lengths a core takes in one go


class Pass(NamedTuple):
    """What a pass asks of a part. runs: int64 [active], which they are; centroids, and `before`,
    those of each run's last pass: float32 [active, cluster, dim]; loss: float32 [active, cluster],
    by how much another centroid can be nearer since to what is in the cluster. In a first pass
    `before` and `loss` are None."""

    runs: torch.Tensor
    centroids: torch.Tensor
    before: torch.Tensor | None
    loss: torch.Tensor | None


class Change(NamedTuple):
    """sums: what the images that moved change, by run x clusters + cluster; moved: int64 [active],
    how many."""

    sums: Sums
    moved: torch.Tensor


class Far(NamedTuple):
    """The images furthest from their centroids, furthest first. row: int64 [image], in the part;
    distance: float32 [image], squared; cluster: int64 [image]; x: float32 [image, dim]."""

    row: torch.Tensor
    distance: torch.Tensor
    cluster: torch.Tensor
    x: torch.Tensor


@final
class Part:
    """Rows start.. of a view, at most PART."""

    def __init__(
        self, view: View, start: int, runs: int, label: torch.Tensor | None = None
    ) -> None:
        """label: int64 [image of the part], the cluster that an image stays in; -1: none."""
        self._view, self._start, self._label = view, start, label
        n = min(PART, len(view) - start)
        self._norms = torch.empty(n, device=view.device)
        self._cluster = torch.full((runs, n), -1, dtype=torch.int32, device=view.device)
        self._margin = torch.zeros(runs, n, device=view.device)
        self._total = torch.zeros(view.dim, dtype=torch.float64, device=view.device)
        for here in self._tiles():
            x = self._read(here)
            self._norms[here] = _norms(x)
            self._total += x.sum(0)

    def __len__(self) -> int:
        return len(self._norms)

    def moments(self) -> tuple[float, torch.Tensor]:
        """The sum of |x|², and the sum of x, float64 [dim]."""
        return float(self._norms.double().square().sum()), self._total

    def step(self, asked: Pass) -> Change:
        """Give each image its nearest centroid in the runs that are asked for."""
        asked = _on(self._view.device, asked)
        if asked.before is not None and bool((self._cluster[asked.runs[0]] < 0).any()):
            self._assign(asked._replace(centroids=asked.before, loss=None))  # it was lost
        return self._assign(asked)

    def put(self, cluster: torch.Tensor, k: int) -> Sums:
        """Put all images where `cluster` (int32 [run, image of all parts]) says; the sums of that,
        by run x k + cluster."""
        own = cluster[:, self._start : self._start + len(self)].to(self._view.device)
        self._cluster[:], self._margin[:] = own, 0
        sums, base = [], torch.arange(len(own), device=own.device)[:, None] * k
        for here in self._tiles():
            image = torch.arange(here.stop - here.start, device=own.device).repeat(len(own))
            group = (own[:, here].long() + base).ravel()
            sums.append(group_sums(self._read(here), image, group, None))
        return total(sums)

    def far(self, run: int, centroids: torch.Tensor, count: int) -> Far:
        """The `count` images furthest from centroids [cluster, dim] of a run, without those that
        have a label, which come last."""
        centroids = centroids.to(self._view.device)
        cluster = self._cluster[run].long()
        distance = torch.empty(len(self), device=self._view.device)
        for here in self._tiles():
            distance[here] = (centroids[cluster[here]] - self._read(here)).square_().sum(1)
        if self._label is not None:
            distance[self._label >= 0] = -1
        row = torch.argsort(-distance, stable=True)[:count]
        x = self._view.take(row.cpu().numpy() + self._start)
        return Far(row, distance[row], cluster[row], x)

    def inertia(self, runs: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
        """The sum of squared distances of the images to their own of centroids [run, cluster, dim],
        float64 [run], for some runs."""
        total = torch.zeros(len(runs), dtype=torch.float64, device=self._view.device)
        centroids = centroids.to(self._view.device)
        for here in self._tiles():
            x = self._read(here)
            for at, run in enumerate(runs.tolist()):
                own = self._cluster[run, here].long()
                distance = distances(x, centroids[at], own)
                total[at] += distance.double().square_().sum()
        return total

    def _assign(self, asked: Pass) -> Change:
        k = asked.centroids.shape[1]
        size = max(1, TOGETHER // k)
        groups = [
            (runs, targets(c))
            for runs, c in zip(asked.runs.split(size), asked.centroids.split(size), strict=True)
        ]
        moved = torch.zeros(int(asked.runs.max()) + 1, dtype=torch.int64, device=asked.runs.device)
        sums = []
        for here in self._tiles():
            if asked.loss is not None:
                own = self._cluster[asked.runs, here].long().clamp_(min=0)
                self._margin[asked.runs, here] -= asked.loss.gather(1, own)
            close = self._margin[asked.runs, here] <= 0
            rows = torch.nonzero(close.any(0)).ravel()
            if len(rows):
                sums += self._look(here, rows, groups, k, moved)
        none = torch.empty(0, dtype=torch.int64, device=asked.runs.device)
        if not sums:
            sums = [Sums(none, none.new_empty(0, self._view.dim, dtype=torch.float64), none)]
        return Change(total(sums), moved[asked.runs])

    def _look(
        self,
        here: slice,
        rows: torch.Tensor,
        groups: list[tuple[torch.Tensor, Targets]],
        k: int,
        moved: torch.Tensor,
    ) -> list[Sums]:
        """Find the clusters of some rows of a tile; what that changes."""
        if 2 * len(rows) > here.stop - here.start:
            x, rows = self._read(here), torch.arange(here.stop - here.start, device=rows.device)
        else:
            x = self._view.take(rows.cpu().numpy() + here.start + self._start)
        rows = rows + here.start
        images, clusters, signs = [], [], []
        for runs, to in groups:
            close = (self._margin[runs][:, rows] <= 0).any(0)
            some = torch.nonzero(close).ravel()
            if not len(some):
                continue
            if 4 * len(some) > 3 * len(rows):
                some = torch.arange(len(rows), device=rows.device)
            at = rows[some]
            found = nearest(x if len(some) == len(x) else x[some], self._norms[at], to)
            new, margin = found.cluster.T, found.margin.T
            if self._label is not None:
                pinned = self._label[at]
                new = torch.where(pinned >= 0, pinned, new)
                margin = margin.masked_fill(pinned >= 0, torch.inf)
            old = self._cluster[runs[:, None], at].long()
            self._cluster[runs[:, None], at] = new.int()
            self._margin[runs[:, None], at] = margin
            run, image = torch.nonzero(new != old, as_tuple=True)
            moved += torch.bincount(runs[run], minlength=len(moved))
            left, base = old[run, image], runs[run] * k
            images += [some[image], some[image[left >= 0]]]
            clusters += [base + new[run, image], (base + left)[left >= 0]]
            signs += [torch.ones(len(image)), -torch.ones(len(clusters[-1]))]
        image = torch.cat(images) if images else rows[:0]
        if not len(image):
            return []
        sign = torch.cat(signs).to(x.device)
        return [group_sums(x, image, torch.cat(clusters), None if (sign > 0).all() else sign)]

    def _read(self, here: slice) -> torch.Tensor:
        return self._view.tile(slice(here.start + self._start, here.stop + self._start))

    def _tiles(self) -> list[slice]:
        n = len(self)
        return [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]


def _on(device: str, asked: Pass) -> Pass:
    before = None if asked.before is None else asked.before.to(device)
    loss = None if asked.loss is None else asked.loss.to(device)
    return Pass(asked.runs.to(device), asked.centroids.to(device), before, loss)


def _norms(x: torch.Tensor) -> torch.Tensor:
    if x.is_cuda:
        return x.norm(dim=1)
    out = torch.empty(len(x))

    def part(start: int) -> None:
        here = slice(start, start + NORMS)
        torch.linalg.vector_norm(x[here], dim=1, out=out[here])

    on_cores(part, range(0, len(x), NORMS))
    return out
