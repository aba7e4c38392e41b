"""A part of the rows under k-means: the unit of work of an engine, on this machine or another.

It remembers the cluster of each image in each run, and how far it is from another (bounds.py): most
images need no look after the first passes. Sums change by the images that moved. All that is only
speed: a part that lost it finds the same clusters again from the centroids of the pass before.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch

from cluster.bounds import Bounds, Look
from cluster.distances import distances, lengths, rests
from cluster.nearest import Targets, is_wide, nearest, nearest_other, targets
from cluster.rows import TILE
from cluster.sums import Sums, group_sums, total
from cluster.view import View

PART = 65_536  # rows of a part: fixed, since it is the order of sums
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
        for here in self._tiles():
            x = self._read(here)
            self._norms[here] = lengths(x)
            self._total += x.sum(0)

    def __len__(self) -> int:
        return len(self._norms)

    def moments(self) -> tuple[float, torch.Tensor]:
        """The sum of |x|², and the sum of x, float64 [dim]."""
        return float(self._norms.double().square().sum()), self._total

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
        sums: list[Sums] = []
        base = torch.arange(len(own), device=own.device)[:, None] * k
        for here in self._tiles():
            image = torch.arange(here.stop - here.start, device=own.device).repeat(len(own))
            group = (own[:, here].long() + base).ravel()
            sums = [total([*sums, group_sums(self._read(here), image, group, None)])]
        return sums[0]

    def far(self, run: int, centroids: torch.Tensor, count: int) -> Far:
        """The `count` images furthest from centroids [cluster, dim] of a run, which they were
        assigned by; those that have a label come last."""
        centroids = centroids.to(self._view.device)
        self._know(torch.tensor([run], device=centroids.device), centroids[None])
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
        which they were assigned by, float64 [run], for some runs."""
        total = torch.zeros(len(runs), dtype=torch.float64, device=self._view.device)
        centroids = centroids.to(self._view.device)
        self._know(runs.to(self._view.device), centroids)
        for here in self._tiles():
            x = self._read(here)
            for at, run in enumerate(runs.tolist()):
                own = self._cluster[run, here].long()
                total[at] += distances(x, centroids[at], own).double().square_().sum()
        return total

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
        sums: list[Sums] = []
        for here in self._tiles():
            sums = [total([*sums, self._pass_tile(here, groups, moved)])]
        return Change(sums[0], moved[asked.runs])

    def _pass_tile(self, here: slice, groups: Sequence[_Group], moved: torch.Tensor) -> Sums:
        """Find the clusters of a tile's images; what that changes. Adds to `moved`, int64 [run]."""
        looks = [self._who(here, group) for group in groups]
        tile = self._look_at(here, looks)
        if groups[0].way is None and any(is_wide(group.to) for group in groups):
            self._rest[here] = rests(tile.x)
        image, name, sign = [], [], []
        for group, look in zip(groups, looks, strict=True):
            whole = look.all
            if look.fast is not None and look.which is not None:
                whole = whole | self._crossed(tile, group, look.fast, look.which)
            rows = torch.nonzero(whole).ravel()
            if len(rows):
                run, which, new, old = self._move(tile, group, rows)
                moved += torch.bincount(group.runs[run], minlength=len(moved))
                base, place = group.runs[run] * group.to.centroids.shape[1], tile.place[rows[which]]
                was = old >= 0
                image += [place, place[was]]
                name += [base + new, (base + old)[was]]
                sign += [torch.ones_like(new), -torch.ones_like(old[was])]
        none = torch.empty(0, dtype=torch.int64, device=tile.x.device)
        return group_sums(tile.x, *(torch.cat([none, *each]) for each in (image, name, sign)))

    def _who(self, here: slice, group: _Group) -> Look:
        if group.way is None:
            return Look(torch.ones_like(self._norms[here], dtype=torch.bool), None, None)
        own = self._cluster[group.runs, here].long()
        return self._bounds.widen(group.runs, here, own, group.way)

    def _look_at(self, here: slice, looks: Sequence[Look]) -> _Tile:
        """What is to be read of a tile."""
        masks = [each for look in looks for each in (look.all, look.fast) if each is not None]
        rows = torch.nonzero(torch.stack(masks).any(0)).ravel()
        place = torch.arange(here.stop - here.start, device=rows.device)
        if self._view.at_hand or 2 * len(rows) > len(place):
            return _Tile(here, self._read(here), place)
        place[rows] = torch.arange(len(rows), device=rows.device)
        x = self._view.take(rows.cpu().numpy() + here.start + self._start)
        return _Tile(here, x, place)

    def _crossed(
        self, tile: _Tile, group: _Group, images: torch.Tensor, which: torch.Tensor
    ) -> torch.Tensor:
        """Of some images (bool [image]), those that may be nearer to another of the centroids
        `which` (int64 [fast cluster]) of a run than to their own: bool [image]."""
        rows = torch.nonzero(images).ravel()
        run, at = int(group.runs[0]), rows + tile.here.start
        to = targets(group.to.centroids[:, which])
        column = torch.full((group.to.centroids.shape[1],), -1, device=which.device)
        column[which] = torch.arange(len(which), device=which.device)
        own = column[self._cluster[run, at].long()]
        lower = nearest_other(tile.x, self._norms[at], to, own, tile.place[rows], self._rest[at])
        lower = torch.minimum(lower, self._bounds.lower[run, at])
        self._bounds.lower[run, at] = lower
        out = torch.zeros_like(images)
        out[rows] = lower <= self._bounds.upper[run, at]
        return out

    def _move(
        self, tile: _Tile, group: _Group, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give some images of a tile (int64 [image]) their clusters. Of those that moved: the run
        in the group, the image in `rows`, the cluster now, and that before or -1."""
        at, runs = rows + tile.here.start, group.runs[:, None]
        place = None if len(rows) == len(tile.x) else tile.place[rows]
        found = nearest(tile.x, self._norms[at], group.to, place, self._rest[at])
        new, upper, lower = (each.T for each in found)
        if self._label is not None:
            pinned = self._label[at]
            new = torch.where(pinned >= 0, pinned, new)
            lower = lower.masked_fill(pinned >= 0, torch.inf)
        old = self._cluster[runs, at].long()
        self._cluster[runs, at] = new.int()
        self._bounds.upper[runs, at], self._bounds.lower[runs, at] = upper, lower
        run, which = torch.nonzero(new != old, as_tuple=True)
        return run, which, new[run, which], old[run, which]

    def _read(self, here: slice) -> torch.Tensor:
        return self._view.tile(slice(here.start + self._start, here.stop + self._start))

    def _tiles(self) -> list[slice]:
        n = len(self)
        return [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]


def _on(device: str, asked: Pass) -> Pass:
    return Pass._make(each if each is None else each.to(device) for each in asked)
