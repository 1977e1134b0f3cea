"""What must hold of any model behind the port, tried on small inputs: the contract of `flowedit.model.VideoModel`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from flowedit.flow import interpolate
from flowedit.frames import slot_count, slot_of
from flowedit.model import ClipShape, Condition, Latent, VideoModel

_FRAMES, _SIGMA = 9, 0.5


def point_velocity(
    self: object, latents: Latent, sigma: float, prepared: Latent | None, position_ids: Sequence[int]
) -> Latent:
    """The velocity of a point mass: it heads for the prepared clip, or for grey where there is none."""
    del self
    clip = torch.zeros_like(latents) if prepared is None else prepared[:, :, list(position_ids)]
    return (latents - clip) / sigma


def check_model(model: VideoModel) -> list[str]:
    """Try each property of the contract on a small clip.

    Args:
        model: anything with the members of `VideoModel`.

    Returns:
        One line per property, which begins with "holds" or "FAILS".
    """
    return [_line(says, prove, model) for says, prove in _PROPERTIES.items()]


def _line(says: str, prove: Callable[[VideoModel], bool], model: VideoModel) -> str:
    try:
        with torch.inference_mode():
            return f"{'holds' if prove(model) else 'FAILS'}: {says}"
    except Exception as error:
        return f"FAILS: {says} ({type(error).__name__})"


def _clip(model: VideoModel) -> torch.Tensor:
    side = 4 * model.size_multiple
    generator = torch.Generator().manual_seed(8)
    return torch.rand(1, 3, _FRAMES, side, side, generator=generator) * 2 - 1


def _slots(model: VideoModel) -> bool:
    latents = model.encode(_clip(model))
    return latents.ndim == 5 and latents.shape[2] == slot_count(_FRAMES)


def _returns(model: VideoModel) -> bool:
    clip = _clip(model)
    return model.decode(model.encode(clip)).shape == clip.shape


def _causal(model: VideoModel) -> bool:
    clip = _clip(model)
    before = model.encode(clip)
    for index in range(1, _FRAMES):
        changed = clip.clone()
        changed[:, :, index] *= -1
        slot = slot_of(index)
        after = model.encode(changed)
        if not torch.allclose(after[:, :, :slot], before[:, :, :slot], atol=1e-5):
            return False
        if torch.allclose(after[:, :, slot], before[:, :, slot], atol=1e-5):
            return False
    return True


def _velocities(model: VideoModel) -> Iterator[tuple[Latent, Latent, Latent, float]]:
    """(latents, their noise, the velocity there, sigma) at two noise levels, told to show the clip's own frames."""
    clip = _clip(model)
    data = model.encode(clip)
    noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(9))
    side = clip.shape[-1]
    shape = ClipShape(num_frames=_FRAMES, height=side, width=side)
    frames = ((clip[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    prepared: Any = model.prepare(_condition(shape, {0: frames[0], 8: frames[8]}))
    for sigma in (0.9, _SIGMA):
        x = interpolate(data, noise, sigma)
        yield x, noise, model.velocity(x, sigma, prepared, range(data.shape[2])), sigma


def _condition(shape: ClipShape, images: dict[int, np.ndarray]) -> Condition:
    return Condition(shape=shape, images=images)


def _shaped(model: VideoModel) -> bool:
    return all(v.shape == x.shape and bool(torch.isfinite(v).all()) for x, _, v, _ in _velocities(model))


def _direction(model: VideoModel) -> bool:
    """The velocity holds the noise that was put in about once: `v = noise - data`."""
    return all(0.6 < float((v * noise).mean()) < 1.6 for _, noise, v, _ in _velocities(model))


def _repeats(model: VideoModel) -> bool:
    return all(torch.equal(a[2], b[2]) for a, b in zip(_velocities(model), _velocities(model), strict=True))


_PROPERTIES: dict[str, Callable[[VideoModel], bool]] = {
    "4n + 1 frames become n + 1 latents": _slots,
    "decoding gives back as many frames, of the same size": _returns,
    "a latent depends on its own frames and on none after them": _causal,
    "the velocity has the shape of its latents and is finite": _shaped,
    "the velocity points from data to noise and holds that noise once": _direction,
    "the same call gives the same answer": _repeats,
}
