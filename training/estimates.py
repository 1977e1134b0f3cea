"""Classical estimates for training clips, made by other processes while the device trains."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from flowedit.estimate import estimate
from flowedit.tiny.config import SPATIAL
from flowedit.wan.routes import confidence_cells


class Estimates:
    """Makes the estimates that an edit starts from; the very function that edits use."""

    def __init__(self, workers: int) -> None:
        """Start so many processes; with 0 estimates are made in a thread of this one."""
        context = multiprocessing.get_context("spawn")
        self.pool: Executor = (
            ProcessPoolExecutor(workers, context, initializer=_one_thread) if workers else ThreadPoolExecutor(1)
        )

    def order(self, source: Tensor, styled: Tensor, keys: Sequence[list[int]]) -> "list[Future[list[Made]]]":
        """Ask for the estimates of some clips, each in several styles.

        Args:
            source: ``(b, T, 3, H, W)`` in [0, 1].
            styled: ``(b * k, T, 3, H, W)``, the ``k`` styles of a clip one after another; only the keyframes are read.
            keys: pixel indices of the keyframes, clip by clip, none empty.

        Returns:
            A promise a clip, of ``k`` estimates.
        """
        clips, targets = _pictures(source), iter(_pictures(styled))
        k = len(styled) // len(clips)
        sets = [[{i: target[i] for i in at} for target in islice(targets, k)] for at in keys]
        return [self.pool.submit(make, clip, ours) for clip, ours in zip(clips, sets, strict=True)]

    def close(self) -> None:
        """Stop the processes; what was ordered and not begun is dropped."""
        self.pool.shutdown(wait=False, cancel_futures=True)


class Made(NamedTuple):
    """An estimate as training needs it.

    Attributes:
        frames: uint8 (T, H, W, 3).
        confidence: of the latent cells, float32 (T, H / SPATIAL, W / SPATIAL).
        need: how far a refined change is laid on it, uint8 (T, H, W), 255 for everywhere.
        agreement: of its keyframes, in [0, 1].
    """

    frames: np.ndarray
    confidence: np.ndarray
    need: np.ndarray
    agreement: float


def make(frames: np.ndarray, sets: list[dict[int, np.ndarray]]) -> list[Made]:
    """The estimates of one clip, uint8 (T, H, W, 3), from sets of styled keyframes by pixel index, one set a style."""
    height, width = (side // SPATIAL for side in frames.shape[1:3])
    return [
        Made(
            made.frames,
            confidence_cells(made.confidence, height, width),
            np.rint(made.need() * 255).astype(np.uint8),
            made.agreement,
        )
        for made in (estimate(frames, keyframes) for keyframes in sets)
    ]


def _pictures(clips: Tensor) -> list[np.ndarray]:
    """8-bit frames ``(T, H, W, 3)`` of each clip."""
    frames = (clips.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2)
    return list(frames.cpu().numpy())


def _one_thread() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
