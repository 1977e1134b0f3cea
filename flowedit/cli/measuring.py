"""What edits take here: one by the shipped small model is made, those of others are predicted from a measured block."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isqrt

import numpy as np
import torch

from flowedit.edit.steps import edit_video
from flowedit.environment import peak_memory_mb
from flowedit.frames import ClipShape, slot_count
from flowedit.keyframes import Keyframe
from flowedit.models import load_model
from flowedit.presets import model_defaults, preset_settings
from flowedit.wan.checkpoints import Checkpoint
from flowedit.wan.placement import Placement
from flowedit.wan.speed import Speed, measure_speed, predict_minutes

_LONG_MINUTES = 24 * 60


def measure_tiny(keyframes: int) -> tuple[float, float, float]:
    """Seconds to load the small model and make a default edit of its whole window; GB of GPU and host at most.

    The keyframes are spread over the window; at least one is made, and at most one a latent slot.
    """
    defaults, rng = model_defaults("tiny"), np.random.default_rng(0)
    window, side = defaults.window, isqrt(defaults.area)
    blocks = rng.integers(0, 256, (side // 8, side // 8 + window, 3), dtype=np.uint8)
    wide = blocks.repeat(8, axis=0).repeat(8, axis=1)
    clip = np.stack([wide[:, 2 * i : 2 * i + side] for i in range(window)])  # a pan: motion to be found
    at = np.linspace(0, window - 1, min(max(keyframes, 1), slot_count(window))).round().astype(int).tolist()
    begun = time.perf_counter()
    edit_video(clip, [Keyframe(i, 255 - clip[i]) for i in at], load_model("tiny"), preset_settings("tiny"))
    seconds = time.perf_counter() - begun
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return seconds, gpu / 1e9, peak_memory_mb() / 1e3


@dataclass(frozen=True)
class Stopwatch:
    """Measures what `flowedit doctor --speed` shows, each width of transformer once; `announce` is told what."""

    keyframes: int
    announce: Callable[[str], object]
    speeds: dict[tuple[int, int, bool], Speed] = field(default_factory=dict[tuple[int, int, bool], Speed])

    def tiny(self, frames: int) -> tuple[str, str, str]:
        """GPU and host memory and time of an edit by the small model, which runs longer clips window by window."""
        self.announce("measuring tiny: an edit by the small model")
        seconds, gpu, host = measure_tiny(self.keyframes)
        seconds *= frames / model_defaults("tiny").window
        return f"{gpu:.1f} GB", f"{host:.1f} GB", f"{seconds / 60:.1f} ({seconds:.0f} s)"

    def minutes(self, entry: Checkpoint, placement: Placement, shape: ClipShape) -> str:
        """Predicted time in words."""
        self.announce(f"measuring {entry.name}")
        # A transformer that the GPU holds whole runs on the fast path; see `flowedit.wan.pace`.
        resident = placement.level == "resident"
        key = entry.width.dim, entry.latent_channels, resident
        if key not in self.speeds:
            self.speeds[key] = measure_speed(
                entry.width,
                latent_channels=entry.latent_channels,
                device=placement.device,
                dtype=placement.dtype,
                backend="inductor" if resident else None,
            )
        speed, settings = self.speeds[key], preset_settings(entry.name)
        minutes = predict_minutes(speed, entry, shape, settings, keyframes=self.keyframes)
        return f"{minutes:.1f}" if minutes < _LONG_MINUTES else f"{minutes:.0f} ({minutes / 60 / 24:.0f} days)"
