"""The Wan autoencoder on a whole clip at once: equal to diffsynth's loop over chunks, and fast to train.

The vendor's code encodes frame by group of frames, carrying two frames of every layer's input to the next group. That
is the same as zero padding of two frames at the start of the clip, except where time is halved or doubled: there the
first frame passes untouched. Written so, a training step is a few large operations instead of thousands of small ones.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowedit.wan import vendor

_FAST: dict[str, Callable[..., Tensor]] = {}


def encode_sequence(model: "vendor.VideoVAE_", video: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log variance of the raw latents of clips, each ``(b, z, n + 1, H / 8, W / 8)``, not normalised.

    Args:
        model: diffsynth's ``VideoVAE_``.
        video: ``(b, 3, T, H, W)`` in [-1, 1], ``T = 4n + 1``.
    """
    encoder = model.encoder
    x = causal(encoder.conv1, _pad(video))
    for layer in (*encoder.downsamples, *encoder.middle):
        x = _layer(layer, x)
    x = _head(encoder.head, x)
    mean, log_variance = _pointwise(model.conv1, x).chunk(2, dim=1)
    return mean, log_variance


def decode_sequence(model: "vendor.VideoVAE_", latents: Tensor) -> Tensor:
    """The clips of raw latents ``(b, z, n + 1, h, w)``: ``(b, 3, 4n + 1, 8h, 8w)``, about [-1, 1], not clamped."""
    decoder = model.decoder
    x = causal(decoder.conv1, _pad(_pointwise(model.conv2, latents)))
    for layer in (*decoder.middle, *decoder.upsamples):
        x = _layer(layer, x)
    return _head(decoder.head, x)


def causal(conv: nn.Conv3d, padded: Tensor) -> Tensor:
    """A 3x3x3 causal convolution of an input that already holds its two leading frames, ``(b, c, T + 2, H, W)``."""
    return F.conv3d(padded, conv.weight, conv.bias, padding=(0, 1, 1))


@contextmanager
def fast_forms(compiled: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Fuse normalisation, activation and padding, with what compiles a function, for as long as the context lasts."""
    torch._dynamo.config.recompile_limit = 64
    _FAST["activate"] = compiled(_activate)
    try:
        yield
    finally:
        _FAST.clear()


def _fold(x: Tensor) -> Tensor:
    """Frames into the batch: ``(b, c, t, h, w)`` to ``(b t, c, h, w)``, channels last in memory."""
    b, c, t, h, w = x.shape
    return x.permute(0, 2, 3, 4, 1).reshape(b * t, h, w, c).permute(0, 3, 1, 2)


def _unfold(x: Tensor, batch: int) -> Tensor:
    """Frames out of the batch, the inverse of :func:`_fold`."""
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(batch, n // batch, h, w, c).permute(0, 4, 1, 2, 3)


def _pad(x: Tensor) -> Tensor:
    """Put two zero frames before the clip."""
    return F.pad(x, (0, 0, 0, 0, 2, 0))


def _activate(x: Tensor, gamma: Tensor) -> Tensor:
    """RMS norm over channels, SiLU, two zero frames before: the prelude of every convolution in a residual block."""
    wide = x.float()
    normal = F.normalize(wide, dim=1) * (x.shape[1] ** 0.5) * gamma
    return _pad(F.silu(normal).to(x.dtype)).contiguous(memory_format=torch.channels_last_3d)


def _prelude(norm: "vendor.RMS_norm", x: Tensor) -> Tensor:
    """Run the fused prelude if there is one, else the plain one."""
    if x.is_cuda:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    return _FAST.get("activate", _activate)(x, norm.gamma)


def _pointwise(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """Apply a 1x1x1 convolution."""
    return F.conv3d(x, conv.weight, conv.bias)


def _layer(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply one layer of the encoder or the decoder."""
    if isinstance(layer, vendor.ResidualBlock):
        return _residual(layer, x)
    if isinstance(layer, vendor.AttentionBlock):
        return layer(x)
    if isinstance(layer, vendor.Resample):
        return _resample(layer, x)
    raise TypeError(f"The whole-clip form knows no layer {type(layer).__name__}; it follows diffsynth 2.1.")


def _residual(block: "vendor.ResidualBlock", x: Tensor) -> Tensor:
    """Norm, SiLU, convolution, twice, beside the shortcut."""
    layers: Any = block.residual
    norm1, _, conv1, norm2, _, _, conv2 = layers
    shortcut = x if isinstance(block.shortcut, nn.Identity) else _pointwise(block.shortcut, x)
    x = causal(conv1, _prelude(norm1, x))
    return causal(conv2, _prelude(norm2, x)) + shortcut


def _head(head: nn.Sequential, x: Tensor) -> Tensor:
    """Norm, SiLU, convolution to the output channels."""
    layers: Any = head
    norm, _, conv = layers
    return causal(conv, _prelude(norm, x))


def _resample(layer: "vendor.Resample", x: Tensor) -> Tensor:
    """Change resolution; the first frame is left out of what happens in time."""
    if layer.mode == "upsample3d" and x.shape[2] > 1:
        x = torch.cat([x[:, :, :1], _double_time(layer.time_conv, x[:, :, 1:])], dim=2)
    batch, resample = x.shape[0], cast("nn.Sequential", layer.resample)
    flat = _fold(x)
    if layer.mode.startswith("up"):
        flat = F.interpolate(flat, scale_factor=2.0, mode="nearest")
        flat = resample[1](flat)
    else:
        flat = resample(flat)
    x = _unfold(flat, batch)
    if layer.mode == "downsample3d" and x.shape[2] > 1:
        conv = layer.time_conv
        halved = F.conv3d(x, conv.weight, conv.bias, stride=conv.stride)
        x = torch.cat([x[:, :, :1], halved], dim=2)
    return x


def _double_time(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """Two frames out of each: the convolution gives both in its channels."""
    pairs = F.conv3d(_pad(x), conv.weight, conv.bias)
    b, c, t, h, w = pairs.shape
    return pairs.view(b, 2, c // 2, t, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, c // 2, 2 * t, h, w)
