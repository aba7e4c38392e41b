"""A part of the rows under k-means: the unit of work of an engine, on this machine or another.

It remembers the cluster of each image in each run, and how far it is from another (bounds.py): most
images need no look after the first passes. Sums change by the images that moved. All that is only
speed: a part that lost it finds the same clusters again from the centroids of the pass before.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import torch

from cluster.kernels.bf16_rows import room_for_short
from cluster.kernels.cluster_sums import Sums, add_groups, no_sums
from cluster.kernels.norms import distances, measured
from cluster.kmeans.data import View, keeps_short
from cluster.kmeans.hamerly_bounds import Bounds
from cluster.kmeans.nearest import Targets, nearest, targets
from cluster.vectors.rows import TILE

PART = 65_536  # rows of a part: fixed, since it is the order of sums
MOVES = 2**19  # images x runs at once
TOGETHER = 512  # clusters of all runs in one product: fewer are no faster, more skip fewer images


class Pass(NamedTuple):
    """What a pass asks of a part. runs: int64 [active], which they are; centroids, and `before`,
    those of each run's last pass: float32 [active, cluster, dim]; way: float32 [active, cluster],
    how far each centroid went since, at most. In a first pass `before` and `way` are None."""

    runs: torch.Tensor
    centroids: torch.Tensor
    before: torch.Tensor | None
    way: torch.Tensor | None


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


class _Group(NamedTuple):
    """Runs (int64 [run]) that go together, their centroids, and how far each went, or None."""

    runs: torch.Tensor
    to: Targets
    way: torch.Tensor | None


class _Tile(NamedTuple):
    """The rows of a tile that are looked at, x float32 [image, dim]; place: int64 [image of the
    tile], where each of them lies in x."""

    here: slice
    x: torch.Tensor
    place: torch.Tensor


@final
class Part:
    """Rows start.. of a view, at most PART."""

    def __init__(
        self, view: View, start: int, runs: int, label: torch.Tensor | None = None
    ) -> None:
        """label: int64 [image of the part], the cluster that an image stays in; -1: none."""
        self._view, self._start, self._label = view, start, label
        n = min(PART, len(view) - start)
        self._norms, self._rest = torch.empty(2, n, device=view.device)
        self._cluster = torch.full((runs, n), -1, dtype=torch.int32, device=view.device)
        self._bounds = Bounds(runs, n, view.device)
        self._total = torch.zeros(view.dim, dtype=torch.float64, device=view.device)
        self._short = room_for_short(n, view.dim) if keeps_short(view) else None
        for here in self._tiles():
            short = None if self._short is None else self._short[here]
            self._norms[here], self._rest[here], totals = measured(self._read(here), short)
            for total in totals:
                self._total += total

    def __len__(self) -> int:
        return len(self._norms)

    def moments(self) -> tuple[float, torch.Tensor]:
        """The sum of |x|², and the sum of x, float64 [dim]."""
        return _sum_of_squares(self._norms, 0.0), self._total

    def step(self, asked: Pass) -> Change:
        """Give each image its nearest centroid in the runs that are asked for."""
        asked = _on(self._view.device, asked)
        if asked.before is not None:
            self._know(asked.runs, asked.before)
        return self._assign(asked)

    def put(self, cluster: torch.Tensor, k: int) -> Sums:
        """Put all images where `cluster` (int32 [run, image of all parts]) says; the sums of that,
        by run x k + cluster."""
        own = cluster[:, self._start : self._start + len(self)].to(self._view.device)
        self._cluster[:] = own
        self._bounds.forget()
        sums = no_sums(self._view.dim, own.device)
        base = torch.arange(len(own), device=own.device)[:, None] * k
        for here in self._tiles():
            image = torch.arange(here.stop - here.start, device=own.device).repeat(len(own))
            group = (own[:, here].long() + base).ravel()
            sums = add_groups(sums, self._read(here), image, group, torch.ones_like(group))
        return sums

    def far(self, run: int, centroids: torch.Tensor, count: int) -> Far:
        """The `count` images furthest from centroids [cluster, dim] of a run, which they were
        assigned by; those that have a label come last."""
        centroids = centroids.to(self._view.device)
        self._know(torch.tensor([run], device=centroids.device), centroids[None])
        cluster = self._cluster[run].long()
        distance = torch.empty(len(self), device=self._view.device)
        for here in self._tiles():
            distance[here] = distances(self._read(here), centroids, cluster[here]).square_()
        if self._label is not None:
            distance[self._label >= 0] = -1
        row = torch.argsort(-distance, stable=True)[:count]
        x = self._view.take(row.cpu().numpy() + self._start)
        return Far(row, distance[row], cluster[row], x)

    def inertia(self, runs: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
        """The sum of squared distances of the images to their own of centroids [run, cluster, dim],
        which they were assigned by, float64 [run], for some runs."""
        total = [0.0] * len(runs)
        centroids = centroids.to(self._view.device)
        self._know(runs.to(self._view.device), centroids)
        for here in self._tiles():
            x = self._read(here)
            for at, run in enumerate(runs.tolist()):
                own = self._cluster[run, here].long()
                total[at] = _sum_of_squares(distances(x, centroids[at], own), total[at])
        return torch.tensor(total, dtype=torch.float64)

    def _know(self, runs: torch.Tensor, centroids: torch.Tensor) -> None:
        """Find out where images are by the centroids they were assigned by, if that was lost."""
        lost = (self._cluster[runs] < 0).any(1)
        if bool(lost.any()):
            self._assign(Pass(runs[lost], centroids[lost], None, None))

    def _assign(self, asked: Pass) -> Change:
        size = max(1, TOGETHER // asked.centroids.shape[1])
        groups = []
        for low in range(0, len(asked.runs), size):
            some = slice(low, low + size)
            way = None if asked.way is None else asked.way[some]
            groups.append(_Group(asked.runs[some], targets(asked.centroids[some]), way))
        moved = torch.zeros(int(asked.runs.max()) + 1, dtype=torch.int64, device=asked.runs.device)
        sums = no_sums(self._view.dim, asked.runs.device)
        for here in self._tiles():
            sums = self._pass_tile(here, groups, moved, sums)
        return Change(sums, moved[asked.runs])

    def _pass_tile(
        self, here: slice, groups: Sequence[_Group], moved: torch.Tensor, sums: Sums
    ) -> Sums:
        """Find the clusters of a tile's images, and add what that changes to `moved`, int64 [run],
        and to the sums."""
        looks = [self._who(here, group) for group in groups]
        tile = self._look_at(here, looks)
        changes = []
        for group, look in zip(groups, looks, strict=True):
            rows = torch.nonzero(look).ravel()
            if len(rows):
                changes.append(self._move(tile, group, rows, moved))
        if not any(len(change[0]) for change in changes):
            return sums
        return add_groups(sums, tile.x, *(torch.cat(each) for each in zip(*changes, strict=True)))

    def _who(self, here: slice, group: _Group) -> torch.Tensor:
        """Whom of the images of a tile to compare with the centroids, bool [image]."""
        if group.way is None:
            return torch.ones_like(self._norms[here], dtype=torch.bool)
        return self._bounds.widen(group.runs, here, self._cluster, group.way)

    def _look_at(self, here: slice, looks: Sequence[torch.Tensor]) -> _Tile:
        """What is to be read of a tile."""
        rows = torch.nonzero(torch.stack(list(looks)).any(0)).ravel()
        place = torch.arange(here.stop - here.start, device=rows.device)
        if self._view.at_hand or 2 * len(rows) > len(place):
            return _Tile(here, self._read(here), place)
        place[rows] = torch.arange(len(rows), device=rows.device)
        x = self._view.take(rows.cpu().numpy() + here.start + self._start)
        return _Tile(here, x, place)

    def _move(
        self, tile: _Tile, group: _Group, rows: torch.Tensor, moved: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give some images of a tile (int64 [image]) their clusters, and count those that moved.
        What that changes, as add_groups wants it: in the order of the images."""
        at: slice | torch.Tensor = rows + tile.here.start
        where: Any = group.runs[:, None], at
        if len(rows) == len(tile.place):
            at, where = tile.here, (group.runs, tile.here)  # without fetching
        place = None if len(rows) == len(tile.x) else tile.place[rows]
        short = None if self._short is None else self._short[tile.here]
        found = nearest(tile.x, self._norms[at], group.to, place, self._rest[at], short)
        new, upper, lower = (each.T for each in found)
        if self._label is not None:
            pinned = self._label[at]
            new = torch.where(pinned >= 0, pinned, new)
            lower = lower.masked_fill(pinned >= 0, torch.inf)
        old = self._cluster[where].long()
        self._cluster[where] = new.int()
        self._bounds.upper[where], self._bounds.lower[where] = upper, lower
        run, which = torch.nonzero(new != old, as_tuple=True)
        moved += torch.bincount(group.runs[run], minlength=len(moved))
        base, old = group.runs[run] * group.to.centroids.shape[1], old[run, which]
        image, name = tile.place[rows[which]], torch.stack([base + old, base + new[run, which]], 1)
        sign = torch.tensor([-1, 1], device=name.device).repeat(len(name))
        was = torch.stack([old >= 0, torch.ones_like(old, dtype=torch.bool)], 1).ravel()
        return image.repeat_interleave(2)[was], name.ravel()[was], sign[was]

    def _read(self, here: slice) -> torch.Tensor:
        return self._view.tile(slice(here.start + self._start, here.stop + self._start))

    def _tiles(self) -> list[slice]:
        n, step = len(self), TILE
        if self._view.device == "cpu" and self._view.at_hand:  # more are faster
            step = max(TILE, min(PART, MOVES // len(self._cluster) // TILE * TILE))
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _sum_of_squares(numbers: torch.Tensor, before: float) -> float:
    """Added to what there was before, so few at once that threads have no say in the order."""
    for some in numbers.split(TILE):
        before += float(some.double().square().sum())
    return before


def _on(device: str, asked: Pass) -> Pass:
    return Pass._make(each if each is None else each.to(device) for each in asked)
