"""Where the files of a project lie. A cell is one dataset by one backbone, a folder of its own.

`store.kinds` has the places of the HDF5 files; paths are relative to the project.
"""

from pathlib import Path
from typing import NamedTuple

import store

BACKBONES = Path("data/backbones")  # a folder each, whatever their origin
FROZEN = Path("data/frozen")  # what frozen blocks gave, kept for other runs of adapt


def images_of(dataset: str) -> Path:
    """The index: names, digests and splits of its images."""
    return store.place("index", dataset=dataset)


def labels_of(dataset: str) -> Path:
    """The labels of its images."""
    return store.place("labels", dataset=dataset)


def known_of(dataset: str) -> Path:
    """Which of them category discovery knows."""
    return store.place("known", dataset=dataset)


class Cell(NamedTuple):
    """One dataset by one backbone. `run`: what a stage is called, a section of params.yaml, which
    names the files that it writes."""

    dataset: str
    backbone: str
    run: str = ""

    def file(self, name: str) -> Path:
        """Below the folder of the cell."""
        return Path("data", self.dataset, self.backbone, name)

    def metric(self, name: str) -> Path:
        """A small file that the report reads, or `dvc metrics`."""
        return Path("metrics", self.dataset, self.backbone, name)

    @property
    def images(self) -> Path:
        return images_of(self.dataset)

    @property
    def labels(self) -> Path:
        return labels_of(self.dataset)

    @property
    def known(self) -> Path:
        return known_of(self.dataset)

    @property
    def features(self) -> Path:
        """The feature store, a folder."""
        return self.file("features")

    def part(self, backbone: str) -> Path:
        """Of a fused backbone: what it takes of one of its parts, a feature store."""
        return self.file(f"parts/{backbone}")

    @property
    def views(self) -> Path:
        """The folder of the augmented views, a feature store each."""
        return self.file("views")

    @property
    def pca(self) -> Path:
        return store.place("pca", dataset=self.dataset, backbone=self.backbone)

    @property
    def neighbors(self) -> Path:
        return store.place("neighbors", dataset=self.dataset, backbone=self.backbone)

    @property
    def map(self) -> Path:
        """The places of the images in a few dims."""
        return store.place("map", dataset=self.dataset, backbone=self.backbone)

    @property
    def duplicates(self) -> Path:
        return store.place("duplicates", dataset=self.dataset, backbone=self.backbone)

    @property
    def k(self) -> Path:
        """The number of clusters that stage estimate_k recommends."""
        return self.file("k.json")

    @property
    def k_by_labels(self) -> Path:
        """That of stage estimate_k_by_labels."""
        return self.file("k_by_labels.json")

    @property
    def clusters(self) -> Path:
        """What the run made without labels; `discovered`: knowing some classes."""
        names = {"dataset": self.dataset, "backbone": self.backbone, "run": self.run}
        return store.place("clusters", **names)

    def member(self, into: str, run: str) -> Path:
        """A copy of the clusters of `run`, which the run `into` of consensus joins with others."""
        return self.file(f"members/{into}/{run}.h5")

    @property
    def discovered(self) -> Path:
        return self.file(f"discovered/{self.run}.h5")

    @property
    def reviewed(self) -> Path:
        """The run with what a person decided."""
        names = {"dataset": self.dataset, "backbone": self.backbone, "run": self.run}
        return store.place("reviewed", **names)

    @property
    def examples(self) -> Path:
        """What the report shows of the clustering that is chosen without labels, and below it of
        category discovery."""
        return store.place("examples", dataset=self.dataset, backbone=self.backbone)

    @property
    def found_examples(self) -> Path:
        return self.metric("discovered.h5")

    @property
    def map_examples(self) -> Path:
        """What the report shows of the map, coloured by the first of these."""
        return store.place("map_examples", dataset=self.dataset, backbone=self.backbone)

    @property
    def curated(self) -> Path:
        """What the run has chosen of the images; beside it the same as a table and a list."""
        names = {"dataset": self.dataset, "backbone": self.backbone, "run": self.run}
        return store.place("curated", **names)

    @property
    def curated_examples(self) -> Path:
        """What the report shows of it."""
        return self.metric(f"curated_{self.run}.h5")

    @property
    def links(self) -> Path:
        """Links to the pictures that were chosen, which are no out: they are of this machine."""
        return Path("data/links", self.run, self.dataset, self.backbone)

    @property
    def table(self) -> Path:
        """A table of the run (csv) for the report and `dvc plots`: of training a row an epoch."""
        return self.metric(f"{self.run}.csv")


class Pair(NamedTuple):
    """Two datasets by one backbone."""

    first: Cell
    second: Cell

    def assigned(self, run: str) -> Path:
        """The clusters of a run on the first, given to the images of the second."""
        return self.second._replace(run=f"{run}_from_{self.first.dataset}").clusters

    @property
    def similar(self) -> Path:
        """What the first found in the second: a folder, one for each section of params.yaml."""
        return self.first.file(f"{self.first.run}/{self.second.dataset}")

    @property
    def examples(self) -> Path:
        """What the report shows of it."""
        return self.first.metric(f"{self.first.run}_{self.second.dataset}.h5")

    @property
    def links(self) -> Path:
        """Links to the pictures, which are no out: they are of this machine."""
        return Path("data/links", self.first.run, *self[0][:2], self.second.dataset)
