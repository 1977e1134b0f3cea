"""Classical estimates for training clips, made by other processes while the device trains."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
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
        """Start the processes.

        Args:
            workers: how many; 0 makes every estimate at once, in this process.
        """
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, initializer=_one_thread) if workers else None

    def order(self, source: Tensor, styled: Tensor, keys: Sequence[list[int]]) -> "list[Future[list[Made]]]":
        """Ask for the estimates of some clips, each in several styles.

        Args:
            source: ``(b, T, 3, H, W)`` in [0, 1].
            styled: ``(b * k, T, 3, H, W)``, the ``k`` styles of a clip one after another; only the keyframes are read.
            keys: pixel indices of the keyframes, clip by clip, none empty.

        Returns:
            A promise a clip, of ``k`` estimates.
        """
        clips, targets = _pictures(source), _pictures(styled)
        k = len(targets) // len(clips)
        groups = [targets[n * k : n * k + k] for n in range(len(clips))]
        work = [
            (clip, [{i: t[i] for i in at} for t in group]) for clip, group, at in zip(clips, groups, keys, strict=True)
        ]
        if self._pool is not None:
            return [self._pool.submit(make, *one) for one in work]
        done: list[Future[list[Made]]] = []
        for one in work:
            promise: Future[list[Made]] = Future()
            promise.set_result(make(*one))
            done.append(promise)
        return done

    def close(self) -> None:
        """Stop the processes; what was ordered and not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


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
    """Make the estimates of one clip.

    Args:
        frames: the source, uint8 (T, H, W, 3).
        sets: styled keyframes by pixel index, uint8 (H, W, 3), one set a style.
    """
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
    """Keep a worker to one core."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
