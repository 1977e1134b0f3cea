"""A quick look at latents without decoding them: a linear map from latent channels to colour (least squares)."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from flowedit.errors import WidgetError
from flowedit.frames import group_of, slot_count

MIN_SIDE = 128
"""Shorter side of a preview in pixels; latents are far smaller and are enlarged smoothly."""


def latent_preview(latents: object, frames: np.ndarray) -> Callable[[object], np.ndarray]:
    """What a run panel calls on a step of an edit: the step's `latents` as small pictures.

    The map is the one that best turns a clip's latents into its colours: each latent is asked for the mean colour of
    the pixels it stands for, its patch over its group of frames.

    Args:
        latents: clean latents of a clip, (c, f, h, w) or (1, c, f, h, w); NumPy or torch.
        frames: the clip itself, uint8 (F, H, W, 3), with `F = 4 (f - 1) + 1`, H a multiple of h and W of w.

    Returns:
        A function of a step, or of latents, that gives uint8 (f, h', w', 3), enlarged by a whole factor until the
        shorter side has 128 pixels.

    Raises:
        WidgetError: latents and frames that do not belong together.
    """
    values = _latent_array(latents)
    channels, slots, height, width = values.shape
    count, tall, wide, _ = frames.shape
    if slot_count(count) != slots or tall % height or wide % width:
        raise WidgetError(
            f"{count} frames of {tall}x{wide} do not belong to {slots} latents of {height}x{width}; "
            "give the clip that was encoded."
        )
    patches = frames.reshape(count, height, tall // height, width, wide // width, 3).mean(axis=(2, 4))
    target = np.stack([patches[list(group_of(slot))].mean(axis=0) for slot in range(slots)])
    design = np.pad(values.reshape(channels, -1).T, ((0, 0), (0, 1)), constant_values=1.0)
    to_rgb = np.linalg.lstsq(design, target.reshape(-1, 3), rcond=None)[0]

    def look(step: object) -> np.ndarray:
        colours = np.einsum("cr,cfhw->fhwr", to_rgb[:-1], _latent_array(getattr(step, "latents", step))) + to_rgb[-1]
        pictures = np.rint(np.clip(np.nan_to_num(colours), 0, 255)).astype(np.uint8)
        scale = max(1, -(-MIN_SIDE // min(pictures.shape[1:3])))
        size = (pictures.shape[2] * scale, pictures.shape[1] * scale)
        return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in pictures])

    return look


def _latent_array(latents: object) -> np.ndarray:
    """Latents as float64 (c, f, h, w), from NumPy or torch."""
    detach = getattr(latents, "detach", None)
    values = np.asarray(latents if detach is None else detach().double().cpu().numpy(), dtype=np.float64)
    if values.ndim == 5 and len(values) == 1:
        values = values[0]
    if values.ndim != 4:
        raise WidgetError(f"Latents are {values.shape}; a preview takes (channels, slots, height, width) of one clip.")
    return values
