"""What the 1,000 classes of ImageNet are called, in the order of every classifier that knows them.

As torchvision's weights say it, without a network; names that ImageNet has twice are told apart.
"""


def imagenet_classes() -> list[str]:
    """1,000 different names."""
    import backbones.cpu_torchvision  # noqa: F401, I001  before torchvision
    from torchvision.models import MobileNet_V2_Weights

    return list(MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])
