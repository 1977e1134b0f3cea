"""The classical estimate of an edit: colour map, propagation, local regression, and their blend; no torch."""

from collections.abc import Callable

from flowedit.estimate.blend import Estimate, WindowEstimates, estimate, estimated_frames
from flowedit.estimate.colour_map import Video, colour_map
from flowedit.estimate.propagation import propagation

__all__ = ["CLASSICAL", "Estimate", "WindowEstimates", "estimate"]

CLASSICAL: dict[str, Callable[..., Video]] = {
    "colour-map": colour_map,
    "propagation": propagation,
    "estimate": estimated_frames,
}
"""Editing methods that need no model, by name: (frames, keyframe images by pixel index, out) -> edited frames."""
