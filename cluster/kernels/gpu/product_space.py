"""The transform of similarity.py's ProductSpace on a GPU: float64 inside, float32 outside."""

import torch

from cluster.kernels.similarity import ProductSpace


def space_targets(space: ProductSpace, x: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """As ProductSpace.targets, float32, of x float32 [image, dim] and x·x float64 [image]."""
    if space.metric == "cosine":
        return _unit(x, squares)
    if space.metric == "inner_product":
        return x.double().div_(space.scale).float()
    y = _centred(space, x)
    return torch.cat([y, y.square().sum(1, keepdim=True).div_(-2)], 1).float()


def space_queries(space: ProductSpace, x: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """As ProductSpace.queries, float32."""
    if space.metric != "euclidean":
        return _unit(x, squares)
    y = _centred(space, x)
    return torch.cat([y, y.new_ones(len(y), 1)], 1).float()


def _unit(x: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """Vectors of zeros stay zeros."""
    length = torch.where(squares > 0, squares.sqrt(), torch.inf)
    return x.double().div_(length[:, None]).float()


def _centred(space: ProductSpace, x: torch.Tensor) -> torch.Tensor:
    mean = torch.from_numpy(space.mean).to(x.device)
    return x.double().sub_(mean).div_(space.scale)
