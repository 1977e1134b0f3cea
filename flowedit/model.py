"""`VideoModel`, the port: all that the editing loop knows of a video diffusion model.

Pixels are floats in [-1, 1] with axes `b c F H W`; latents have axes `b c f h w`; `sigma` is the noise level in [0, 1].
A class with these members is a model: it need not inherit from anything here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowedit.frames import ClipShape, Video

Latent = Float[Tensor, "b c f h w"]
"""A clip's latents, one frame per slot."""
KeyLatent = Float[Tensor, "b c k h w"]
"""Latents of keyframes, one frame per keyframe."""
JointLatent = Float[Tensor, "b c n h w"]
"""A clip's latents, with those of keyframes after it or without."""
Pixels = Float[Tensor, "b 3 F H W"]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a model is asked to show: words, and images at pixel frames.

    Attributes:
        shape: the clip that the images belong to.
        prompt: what to show.
        negative_prompt: what guidance moves away from.
        guidance: classifier-free guidance scale; 1 switches it off.
        images: pixel index -> image uint8 (H, W, 3) that the model is to show at that frame; empty for none.
        image_positions: temporal position of each, for models that take images as tokens of their own; empty for 0.
        source: the clip before the edit, uint8 (F, H, W, 3), for models that see it between the images; None for none.
        estimate: the edited clip as the classical estimate has it, uint8 (F, H, W, 3), for models that refine one: it
            stands between the images. None for none.
        confidence: how far each pixel of it needs no model, float32 (F, H, W) in [0, 1]; given with `estimate`.
        key_slots: latent slots whose tokens follow the clip's own in a joint sequence; empty for none.
    """

    shape: ClipShape
    prompt: str = ""
    negative_prompt: str = ""
    guidance: float = 1.0
    images: dict[int, np.ndarray] = field(default_factory=dict[int, np.ndarray])
    image_positions: tuple[int, ...] = ()
    source: np.ndarray | None = None
    estimate: np.ndarray | None = None
    confidence: np.ndarray | None = None
    key_slots: tuple[int, ...] = ()


@runtime_checkable
class VideoModel(Protocol):
    """A video diffusion model trained by flow matching, seen from the editing loop."""

    name: str
    size_multiple: int
    """What height and width must divide by."""

    def encode(self, video: Pixels) -> Latent:
        """Clean latents of a clip of `4n + 1` frames: `n + 1` slots."""
        ...

    def decode(self, latents: Latent) -> Pixels:
        """The clip that clean latents stand for."""
        ...

    def prepare(self, condition: Condition) -> Any:  # noqa: ANN401 - opaque to the loop, handed back to `velocity`
        """Encode words and images once; the result is handed to `velocity` at every step.

        Raises:
            ModelError: the model cannot be conditioned so.
        """
        ...

    def velocity(
        self,
        latents: JointLatent,
        sigma: float,
        prepared: Any,  # noqa: ANN401
        position_ids: Sequence[int],
    ) -> JointLatent:
        """The velocity `noise - data` after guidance, in the shape of `latents`.

        Args:
            latents: one frame of latents per entry of `position_ids`: a clip, or a clip and keyframe slots after it.
            sigma: noise level of every frame, in (0, 1].
            prepared: what `prepare` returned.
            position_ids: temporal position of each latent frame; two frames may share one.
        """
        ...

    def after_step(self, latents: Latent, sigma: float, prepared: Any) -> Latent:  # noqa: ANN401
        """Called on the clip's latents after every step; most models return them unchanged."""
        ...


def to_pixels(frames: Video, device: torch.device | str = "cpu") -> Pixels:
    """Frames as a model takes them: float32 in [-1, 1]."""
    video = torch.as_tensor(np.ascontiguousarray(frames)).to(device)
    return video.permute(3, 0, 1, 2).unsqueeze(0).float() * (2 / 255) - 1


def to_frames(pixels: Pixels) -> Video:
    """Pixels in [-1, 1] as uint8 frames, rounded to the nearest value."""
    video = ((pixels[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return video.permute(1, 2, 3, 0).cpu().numpy()
