"""Predict how long a run takes from a short measurement on the spot: one transformer block, and a small VAE pass.

A block's time is `a n + b n^2` in the number of tokens `n`: matrix products, and attention. Two lengths give both.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from flowedit.frames import GROUP, ClipShape
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import Checkpoint, ImageRoute, Width
from flowedit.wan.memory import forward_lengths

if TYPE_CHECKING:
    import torch

CPU_LENGTHS = (192, 576)
_GPU_LENGTHS = (8_192, 32_768)
_CONTEXT = 512
"""Text tokens."""
_REPEATS = 3
_GPU_VAE, _CPU_VAE = (17, 320, 560), (5, 64, 96)


@dataclass(frozen=True)
class Speed:
    """Measured speed of one width on one machine, in seconds.

    Attributes:
        linear: per token and block.
        quadratic: per squared token and block.
        encode: of the VAE's encoder per pixel and frame.
        decode: the same of its decoder.
    """

    linear: float
    quadratic: float
    encode: float
    decode: float

    def forward_seconds(self, width: Width, tokens: int) -> float:
        """Seconds of one forward of the whole transformer."""
        blocks = width.layers + width.vace_layers
        return blocks * (self.linear * tokens + self.quadratic * tokens**2)


def measure_speed(
    width: Width, *, latent_channels: int = 16, device: str, dtype: "torch.dtype", backend: str | None = None
) -> Speed:
    """Time one random block of this width at two lengths, and the VAE on a small clip; seconds to a minute.

    `backend` is `torch.compile`'s for the fast path, compiled before the clock starts; None is the plain path.
    """
    import torch

    few, many = _GPU_LENGTHS if device.startswith("cuda") else CPU_LENGTHS
    place = {"device": device, "dtype": dtype}
    with torch.inference_mode():
        short, long = _block_seconds(width, (few, many), place, backend)
        encode, decode = _vae_seconds(latent_channels, place, backend)
    # Two equations in two unknowns; noise must not make either part negative.
    quadratic = max(0.0, (long / many - short / few) / (many - few))
    linear = max(0.0, short / few - quadratic * few)
    return Speed(linear=linear, quadratic=quadratic, encode=encode, decode=decode)


def vae_frames(
    settings: EditSettings, num_frames: int, keyframes: int, image_route: ImageRoute | None = "i2v"
) -> tuple[int, int]:
    """Frames that an edit encodes, and that it decodes; the first of its keyframes is at frame 0.

    On the `i2v` route a grey clip is encoded even where no image is shown, and the source where it is tokens.
    """
    decoded = num_frames * (1 if settings.detail == "plain" else 2)
    if settings.method == "refine":  # the source, and the estimate, which the model and the decode share
        return 2 * num_frames, decoded
    later = max(keyframes - 1, 0) * (1 if settings.keyframe_encoding == "still" else 1 + GROUP)
    clips, sides = 1, 2 if settings.method == "difference" else 1
    # `delta` encodes the source's own frames for the change of style, which on the source's side is none.
    keys = (min(keyframes, 1) + later) * (2 if settings.keyframe_encoding == "delta" else sides)
    if image_route in ("i2v", "segments"):
        clips += sides
    if image_route == "segments" and settings.conditioning in ("i2v", "both"):
        keys += keyframes * sides
    elif settings.conditioning in ("i2v", "both") and image_route == "vace":
        clips += 2 * sides
    return clips * num_frames + keys, decoded


def predict_minutes(
    speed: Speed, checkpoint: Checkpoint, shape: ClipShape, settings: EditSettings, *, keyframes: int = 0
) -> float:
    """Minutes of an edit, without loading; keyframes are encoded, and lengthen the sequence where they are tokens."""
    lengths = forward_lengths(checkpoint, shape, settings, keyframes)
    forwards = sum(n * speed.forward_seconds(checkpoint.width, length) for length, n in Counter(lengths).items())
    encoded, decoded = vae_frames(settings, shape.num_frames, keyframes, checkpoint.image_route)
    vae = (speed.encode * encoded + speed.decode * decoded) * shape.height * shape.width
    return (forwards + vae) / 60


def _block_seconds(width: Width, lengths: tuple[int, int], place: "dict[str, Any]", backend: str | None) -> list[float]:
    """Median seconds of one block at each length."""
    import torch

    from flowedit.wan import vendor

    with torch.device("meta"):
        block = vendor.DiTBlock(False, width.dim, width.heads, width.ffn)  # noqa: FBT003 - the vendor's signature
    block = _filled(block, **place)
    if backend is not None:
        from flowedit.wan.fast import use_fast_blocks

        # A transformer of one block, as far as the fast path looks at one.
        use_fast_blocks(SimpleNamespace(blocks=[block], freqs=(), parameters=block.parameters), backend=backend)
    table = vendor.precompute_freqs_cis(width.dim // width.heads)
    seconds: list[float] = []
    for length in lengths:
        drawn = [torch.randn(1, rows, width.dim, **place) for rows in (length, _CONTEXT, 6)]
        positions = table[torch.arange(length) % len(table)].unsqueeze(1).to(place["device"])
        seconds.append(_timed(partial(block, *drawn, positions), place["device"]))
    return seconds


def _vae_seconds(latent_channels: int, place: "dict[str, Any]", backend: str | None) -> tuple[float, float]:
    """Seconds per pixel and frame of encoding, and of decoding, a small clip."""
    import torch

    from flowedit.wan import vendor
    from flowedit.wan.vae import use_fast_vae

    kind = vendor.VideoVAE_ if latent_channels == 16 else vendor.VideoVAE38_
    with torch.device("meta"):
        vae = kind(z_dim=latent_channels)
    vae, device = _filled(vae, **place), place["device"]
    if backend is not None:
        use_fast_vae(vae, backend=backend)
    scale = [torch.zeros(latent_channels, device=device), torch.ones(latent_channels, device=device)]
    frames, height, width = _GPU_VAE if device.startswith("cuda") else _CPU_VAE
    clip = torch.randn(1, 3, frames, height, width, **place)
    latents = vae.encode(clip, scale)
    encode = _timed(partial(vae.encode, clip, scale), device)
    decode = _timed(partial(vae.decode, latents, scale), device)
    return encode / (frames * height * width), decode / (frames * height * width)


def _filled(module: Any, *, device: str, dtype: "torch.dtype") -> Any:  # noqa: ANN401 - as it came
    """Give a meta module memory and small values: time does not depend on them."""
    module = module.to(dtype).to_empty(device=device).eval()
    for parameter in module.parameters():
        parameter.normal_(std=0.02)
    return module


def _timed(work: Callable[[], object], device: str) -> float:
    """Median wall-clock seconds of some runs after a warm one."""
    import torch

    def once() -> float:
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    return median(once() for _ in range(_REPEATS))
