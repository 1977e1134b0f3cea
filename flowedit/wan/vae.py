"""The VAE's convolutions in the memory layout that a GPU computes them in."""

from typing import Any

import torch
from torch import nn


def use_channels_last(vae: Any) -> None:  # noqa: ANN401 - the vendor's VAE
    """Lay a VAE's convolution weights out channels last, which its activations then follow; values stay as they are.

    Args:
        vae: the vendor's; on a CPU this gains nothing.
    """
    for module in vae.modules():
        if isinstance(module, nn.Conv3d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
