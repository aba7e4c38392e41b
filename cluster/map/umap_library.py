"""Import umap-learn where it is used, and without TensorFlow.

`import umap` imports TensorFlow and Keras for its parametric variant where they are installed: many
seconds, and never beside torch. It does without, as on a machine that has neither, when TensorFlow
cannot be found.
"""

import sys
import warnings
from types import ModuleType
from typing import NamedTuple


class Umap(NamedTuple):
    """The modules whose functions are used; class UMAP would need all vectors in memory."""

    graph: ModuleType
    layouts: ModuleType


def load_umap() -> Umap:
    """umap.umap_ and umap.layouts."""
    hidden = "tensorflow" not in sys.modules and "umap" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            # The warning that it has no parametric variant
            warnings.filterwarnings("ignore", message="Tensorflow not installed")
            warnings.filterwarnings("ignore", message="The umap.parametric_umap package requires")
            import umap.layouts
            import umap.umap_
    finally:
        if hidden:
            del sys.modules["tensorflow"]
    return Umap(umap.umap_, umap.layouts)
