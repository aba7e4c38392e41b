"""Import this before torchvision (so before timm, open_clip): it makes that import work on a CPU.

The published torchvision is a CUDA build. Beside a CPU torch its compiled operators cannot load,
and its own import then fails on the two it registers a rule for. Naming them is enough; nothing
here calls them.
"""

import torch

if torch.version.cuda is None:
    _LIBRARY = torch.library.Library("torchvision", "DEF")  # the operators live as long as this
    for _operator in ("nms", "qnms"):
        _LIBRARY.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
