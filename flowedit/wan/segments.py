"""Bernini-R's way of showing a clip and pictures: clean latents beside the noisy ones, told apart by their source ids.

The rotary phases of a segment with source id `s` are multiplied by `exp(i s theta**(-2k / d))`, where `k` counts the
`d / 2` pairs of a head across time, height and width. Id 0 is the noisy clip, which is stock Wan; no weight belongs to
it. docs/bernini.md says where each fact is from.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Complex128, Float
from torch import Tensor

from flowedit.flow import predict_data
from flowedit.model import JointLatent
from flowedit.wan import vendor

LAST_ID = 5
"""The largest source id of the training; more segments than that share the range evenly."""
SOURCE_SCALE, REFERENCE_SCALE = 1.25, 4.5
"""The authors' guidance towards the source and towards the references; the third, towards the words, is a setting."""
_ALONG, _LONGEST = 0.5, 50.0
"""Of projected guidance, by the authors: the share that is kept along the estimate, and the longest change."""
TASKS = {
    (True, True): "You are a helpful assistant specialized in video editing with reference.",
    (True, False): "You are a helpful assistant specialized in video editing.",
    (False, True): "You are a helpful assistant specialized in subject-to-video generation.",
    (False, False): "You are a helpful assistant specialized in text-to-video generation.",
}
"""Source shown, references shown -> what stood before every prompt of the training."""


class Segment(NamedTuple):
    """Clean latents, `(b, c, n, h, w)`, their source id, and the temporal position of each of the `n` frames."""

    latents: Tensor
    source_id: float
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Segments:
    """What a model is shown beside the noisy clip, source before references; neither for every other family."""

    source: tuple[Segment, ...] = ()
    references: tuple[Segment, ...] = ()

    @classmethod
    def of(cls, source: Tensor | None, references: Sequence[Tensor], positions: Sequence[int]) -> "Segments":
        """Number the segments: latents of a clip or None, and of pictures with the temporal position of each."""
        clip = [] if source is None else [(source, tuple(range(source.shape[2])))]
        pictures = [(latents, (at,)) for latents, at in zip(references, positions, strict=True)]
        count = len(clip) + len(pictures)
        ids = np.linspace(1, min(count, LAST_ID), count).tolist()
        made = tuple(Segment(latents, one, at) for one, (latents, at) in zip(ids, clip + pictures, strict=True))
        return cls(made[: len(clip)], made[len(clip) :])

    @property
    def all(self) -> tuple[Segment, ...]:
        """Every segment, in the order of the sequence."""
        return self.source + self.references

    def instruct(self, prompt: str) -> str:
        """A prompt as the training had it: right after a sentence that names the task."""
        return TASKS[bool(self.source), bool(self.references)] + prompt

    def guide(
        self, v: JointLatent, unprompted: Callable[[tuple[Segment, ...]], JointLatent], x: JointLatent, sigma: float,
        scale: float,
    ) -> JointLatent:  # fmt: skip
        """The velocity after the guidance that the authors use for what is shown, which is plain where nothing is.

        Args:
            v: velocity under the prompt and all segments.
            unprompted: velocity under the negative prompt and some of them.
            x: the noisy latents.
            sigma: their noise level.
            scale: guidance towards the words.
        """
        shown: list[tuple[Segment, ...]] = [self.all]  # v2v_apg, and t2v
        scales: list[float] = [scale]
        if self.source and self.references:  # rv2v
            shown, scales = [(), self.source, self.all], [SOURCE_SCALE, REFERENCE_SCALE, scale]
        elif self.references:  # r2v_apg
            shown, scales = [(), self.all], [REFERENCE_SCALE, scale]
        projected = bool(self.source) != bool(self.references)
        # The weights would magnify what bfloat16 rounds off; stock Wan has its own type.
        velocities = [each.float() if self.all else each for each in (*map(unprompted, shown), v)]
        guided = velocities[0]
        for (weaker, stronger), share in zip(pairwise(velocities), scales, strict=True):
            change = stronger - weaker
            if projected:
                change = project(change, predict_data(x, stronger, sigma), _LONGEST / sigma)
            guided = guided + share * change
        return guided


def project(
    change: Float[Tensor, "b c n h w"], clean: Float[Tensor, "b c n h w"], longest: float
) -> Float[Tensor, "b c n h w"]:
    """Adaptive projected guidance (Sadat et al. 2024, arXiv 2410.02416), frame by frame.

    A change longer than `longest` is shortened to it; of what points along the clean estimate a share is kept.
    """
    frame = (1, 3, 4)
    length = partial(torch.linalg.vector_norm, dim=frame, keepdim=True)
    change = change * (longest / length(change)).clamp(max=1)
    direction = clean / length(clean)
    along = (change * direction).sum(dim=frame, keepdim=True) * direction
    return change - (1 - _ALONG) * along


def source_phases(ids: Sequence[float], head_dim: int, theta: float = 10_000.0) -> Complex128[Tensor, "n k"]:
    """The factor of each pair's rotary phase, a row per source id."""
    rates = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    turns = torch.outer(torch.tensor(ids, dtype=torch.float64), rates)
    return torch.polar(torch.ones_like(turns), turns)


@contextmanager
def source_turned(dit: "vendor.WanModel", ids: Sequence[float]) -> Iterator[None]:
    """Turn the rotary phases of each latent frame of one forward by its source id; nothing where all are 0.

    The vendor hands one table to every block, a row a token; for the length of the block they get the turned one.
    """
    tables: list[Tensor] = []

    def turn(_: object, given: tuple[Any, ...]) -> tuple[Any, ...]:
        *rest, table = given
        if not tables:
            phases = source_phases(ids, 2 * table.shape[-1]).to(table.device)
            tables.append(table * phases.repeat_interleave(len(table) // len(ids), dim=0).unsqueeze(1))
        return (*rest, tables[0])

    hooks = [block.register_forward_pre_hook(turn) for block in dit.blocks if any(ids)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
