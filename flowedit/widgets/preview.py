"""A quick look at latents without decoding them: a linear map from latent channels to colour (least squares)."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from flowedit.errors import WidgetError
from flowedit.frames import group_of, slot_count

MIN_SIDE = 128
"""Shorter side of a preview in pixels; latents are far smaller and are enlarged smoothly."""


def fit_latent_rgb(latents: object, frames: np.ndarray) -> np.ndarray:
    """The linear map that best turns a clip's latents into its colours.

    Each latent is asked for the mean colour of the pixels it stands for: its patch, over its group of frames.

    Args:
        latents: clean latents of a clip, (c, f, h, w) or (1, c, f, h, w); NumPy or torch.
        frames: the clip itself, uint8 (F, H, W, 3), with `F = 4 (f - 1) + 1`, H a multiple of h and W of w.

    Returns:
        float64 (3, c + 1): colour in [0, 1] is `map[:, :c] @ latent + map[:, c]`.

    Raises:
        WidgetError: latents and frames that do not belong together, or too few latents to fit a map.
    """
    values = _latent_array(latents)
    channels, slots, height, width = values.shape
    count, tall, wide, _ = frames.shape
    if slot_count(count) != slots or tall % height or wide % width:
        raise WidgetError(
            f"{count} frames of {tall}x{wide} do not belong to {slots} latents of {height}x{width}; "
            "give the clip that was encoded."
        )
    patches = frames.reshape(count, height, tall // height, width, wide // width, 3).mean(axis=(2, 4)) / 255
    target = np.stack([patches[list(group_of(slot))].mean(axis=0) for slot in range(slots)])
    if slots * height * width <= channels:
        raise WidgetError(
            f"{slots * height * width} latents cannot fix a map of {channels} channels; use a longer or larger clip."
        )
    rows = values.reshape(channels, -1).T
    design = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    solution = np.linalg.lstsq(design, target.reshape(-1, 3), rcond=None)[0]
    return solution.T


def latent_rgb(latents: object, rgb_map: np.ndarray) -> np.ndarray:
    """Latents as small pictures, one per slot.

    Args:
        latents: (c, f, h, w) or (1, c, f, h, w); NumPy or torch.
        rgb_map: (3, c + 1), from `fit_latent_rgb`.

    Returns:
        uint8 (f, h', w', 3), enlarged by a whole factor until the shorter side has 128 pixels.

    Raises:
        WidgetError: a map made for another number of channels.
    """
    values = _latent_array(latents)
    channels = len(values)
    if rgb_map.shape != (3, channels + 1):
        raise WidgetError(
            f"The map is {rgb_map.shape} and the latents have {channels} channels, which need (3, {channels + 1}); "
            "fit it on latents of the same model."
        )
    colours = np.einsum("rc,cfhw->fhwr", rgb_map[:, :channels], values) + rgb_map[:, channels]
    pictures = np.rint(255 * np.clip(np.nan_to_num(colours), 0, 1)).astype(np.uint8)
    scale = max(1, -(-MIN_SIDE // min(pictures.shape[1:3])))
    size = (pictures.shape[2] * scale, pictures.shape[1] * scale)
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in pictures])


def step_preview(rgb_map: np.ndarray) -> Callable[[object], np.ndarray]:
    """What a run panel calls on every k-th step of an edit: the step's `latents` as small pictures."""
    return lambda step: latent_rgb(getattr(step, "latents", step), rgb_map)


def _latent_array(latents: object) -> np.ndarray:
    """Latents as float64 (c, f, h, w), from NumPy or from a torch tensor on any device."""
    detach = getattr(latents, "detach", None)
    values = np.asarray(latents if detach is None else detach().double().cpu().numpy(), dtype=np.float64)
    if values.ndim == 5 and len(values) == 1:
        values = values[0]
    if values.ndim != 4:
        raise WidgetError(f"Latents are {values.shape}; a preview takes (channels, slots, height, width) of one clip.")
    return values
