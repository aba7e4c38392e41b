"""The section `rank` of params.yaml, which two stages read."""

from typing import Annotated

from pydantic import Field

from pipeline.params import Section

Count = Annotated[int, Field(ge=1)]


class RankSettings(Section):
    neighbors: Annotated[int, Field(ge=1, le=256)]  # of each image, in the graph of each backbone
    lag: Annotated[int, Field(ge=2)]  # steps of the longer walk
    images: Annotated[int, Field(ge=2)]  # on which clusterings are compared with one another
    silhouette_images: Annotated[int, Field(ge=0)]  # all pairs are compared; 0: none
    seed: int  # of the draws of images
