"""Whether vectors can stay on the GPU: reading them over and over is slow."""

import torch


def fits_on_gpu(numbers: int, device: str) -> bool:
    """Whether so many float32 take less than half of what is free on the GPU; never on a CPU."""
    if not device.startswith("cuda"):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return numbers * 4 < free // 2
