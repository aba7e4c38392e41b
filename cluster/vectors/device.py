"""Whether vectors fit in GPU memory, so that they are transferred once."""

import torch


def fits_on_gpu(numbers: int, device: str) -> bool:
    """Whether `numbers` float32 take less than half of the free GPU memory; False on a CPU."""
    if not device.startswith("cuda"):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return numbers * 4 < free // 2
