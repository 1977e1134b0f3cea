"""What an edit with a loaded model takes: parts are timed on a short piece, and the run is computed from them."""

import time
from collections.abc import Callable
from itertools import cycle
from statistics import median
from typing import TypeVar

import numpy as np
import torch

from flowedit.encoding import to_pixels
from flowedit.frames import slot_count
from flowedit.model import ClipShape, Condition, VideoModel
from flowedit.settings import EditSettings
from flowedit.wan.speed import forwards_of, vae_frames

T = TypeVar("T")

_PIECE, _TRIES = 9, 3


@torch.inference_mode()
def predict_seconds(model: VideoModel, frames: np.ndarray, settings: EditSettings, *, keyframes: int) -> float:
    """Processor seconds that an edit will take, from short trials of encoding, decoding and one transformer call.

    Args:
        model: the model, loaded; on the `i2v` route.
        frames: the clip, uint8 (F, H, W, 3).
        settings: of the edit.
        keyframes: how many, the first of them at frame 0.
    """
    count, height, width = frames.shape[:3]
    piece = to_pixels(frames[:_PIECE])
    # A model may remember the clip that it encoded last: each trial gets another one.
    others = cycle((piece, piece.flip(-1)))
    encode, latents = _timed(lambda: model.encode(next(others)))
    decode, _ = _timed(lambda: model.decode(latents))
    prepared = model.prepare(Condition(shape=ClipShape(num_frames=count, height=height, width=width)))
    slots = slot_count(count)
    whole = latents[:, :, :1].repeat(1, 1, slots, 1, 1)
    forward, _ = _timed(lambda: model.velocity(whole, 0.5, prepared, range(slots)))
    encoded, decoded = vae_frames(settings, count, keyframes)
    return forwards_of(settings) * forward + (encode * encoded + decode * decoded) / _PIECE


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    """Median processor seconds of a few calls, and what the last one gave."""
    seconds = []
    for _ in range(_TRIES):
        begun = time.process_time()
        out = call()
        seconds.append(time.process_time() - begun)
    return median(seconds), out
