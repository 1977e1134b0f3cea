"""What an edit by the shipped small model takes on this machine, found by making one."""

import time
from dataclasses import dataclass

SIDE = 128
"""Of its square frames, in pixels."""


@dataclass(frozen=True)
class TinyCost:
    """What a default edit by the small model took here.

    Attributes:
        seconds: of loading it, and of an edit of its window, encoding and decoding included.
        gpu: most memory of the GPU, in bytes; 0 without one.
        host: most resident memory of the process, in bytes.
    """

    seconds: float
    gpu: int
    host: int


def measure_tiny(keyframes: int) -> TinyCost:
    """Load the small model and make a default edit of its whole window; ten to thirty seconds on two cores.

    Args:
        keyframes: how many, spread over the window; at least one is made, and at most one a latent slot.
    """
    import numpy as np
    import torch

    from flowedit.edit.steps import edit_video
    from flowedit.environment import peak_memory_mb
    from flowedit.frames import slot_count
    from flowedit.keyframes import Keyframe
    from flowedit.models import load_model
    from flowedit.presets import model_defaults, preset_settings

    window = model_defaults("tiny").window
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (SIDE // 8, SIDE // 8 + window, 3), dtype=np.uint8)
    wide = blocks.repeat(8, axis=0).repeat(8, axis=1)
    clip = np.stack([wide[:, 2 * i : 2 * i + SIDE] for i in range(window)])  # a pan: motion to be found
    count = min(max(keyframes, 1), slot_count(window))
    at = np.linspace(0, window - 1, count).round().astype(int).tolist()
    begun = time.perf_counter()
    edit_video(clip, [Keyframe(i, 255 - clip[i]) for i in at], load_model("tiny"), preset_settings("tiny"))
    seconds = time.perf_counter() - begun
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return TinyCost(seconds=seconds, gpu=gpu, host=round(peak_memory_mb() * 1e6))
