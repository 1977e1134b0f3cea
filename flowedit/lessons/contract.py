"""What must hold of any model behind the port, tried on small inputs: the contract of `flowedit.model.VideoModel`."""

from collections.abc import Callable, Iterator, Sequence

import torch

from flowedit.flow import interpolate
from flowedit.frames import slot_count, slot_of
from flowedit.model import ClipShape, Condition, Latent, VideoModel

_FRAMES = 9


def point_velocity(
    self: object, latents: Latent, sigma: float, prepared: Latent | None, position_ids: Sequence[int]
) -> Latent:
    """The velocity of a point mass: it heads for the prepared clip, or for grey where there is none."""
    del self
    clip = torch.zeros_like(latents) if prepared is None else prepared[:, :, list(position_ids)]
    return (latents - clip) / sigma


def check_model(model: VideoModel) -> list[str]:
    """Try each property of the contract on a small clip: one line each, which begins with "holds" or "FAILS"."""
    return [_line(says, holds, model) for says, holds in _PROPERTIES.items()]


def _line(says: str, holds: Callable[[VideoModel], bool], model: VideoModel) -> str:
    try:
        with torch.inference_mode():
            return f"{'holds' if holds(model) else 'FAILS'}: {says}"
    except Exception as error:  # a model that raises does not have the property
        return f"FAILS: {says} ({type(error).__name__})"


def _clip(model: VideoModel) -> torch.Tensor:
    side = 4 * model.size_multiple
    return torch.rand(1, 3, _FRAMES, side, side, generator=torch.Generator().manual_seed(8)) * 2 - 1


def _has_slots(model: VideoModel) -> bool:
    latents = model.encode(_clip(model))
    return latents.ndim == 5 and latents.shape[2] == slot_count(_FRAMES)


def _returns_frames(model: VideoModel) -> bool:
    clip = _clip(model)
    return model.decode(model.encode(clip)).shape == clip.shape


def _is_causal(model: VideoModel) -> bool:
    clip = _clip(model)
    before = model.encode(clip)
    for index in range(1, _FRAMES):
        changed = clip.clone()
        changed[:, :, index] *= -1
        slots = zip(model.encode(changed).unbind(2), before.unbind(2), strict=True)
        same = [torch.allclose(a, b, atol=1e-5) for a, b in slots]
        if not all(same[: slot_of(index)]) or same[slot_of(index)]:
            return False
    return True


def _velocities(model: VideoModel) -> Iterator[tuple[Latent, Latent, Latent]]:
    """(latents, their noise, the velocity there) at two noise levels, told to show the clip's own frames."""
    clip = _clip(model)
    data = model.encode(clip)
    noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(9))
    shape = ClipShape(num_frames=_FRAMES, height=clip.shape[-2], width=clip.shape[-1])
    frames = ((clip[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    prepared = model.prepare(Condition(shape=shape, images={0: frames[0], 8: frames[8]}))
    for sigma in (0.9, 0.5):
        x = interpolate(data, noise, sigma)
        yield x, noise, model.velocity(x, sigma, prepared, range(data.shape[2]))


def _is_shaped(model: VideoModel) -> bool:
    return all(v.shape == x.shape and bool(torch.isfinite(v).all()) for x, _, v in _velocities(model))


def _points_to_noise(model: VideoModel) -> bool:
    """The velocity holds the noise that was put in about once: `v = noise - data`."""
    return all(0.6 < float((v * noise).mean()) < 1.6 for _, noise, v in _velocities(model))


def _repeats(model: VideoModel) -> bool:
    return all(torch.equal(a[2], b[2]) for a, b in zip(_velocities(model), _velocities(model), strict=True))


_PROPERTIES: dict[str, Callable[[VideoModel], bool]] = {
    "4n + 1 frames become n + 1 latents": _has_slots,
    "decoding gives back as many frames, of the same size": _returns_frames,
    "a latent depends on its own frames and on none after them": _is_causal,
    "the velocity has the shape of its latents and is finite": _is_shaped,
    "the velocity points from data to noise and holds that noise once": _points_to_noise,
    "the same call gives the same answer": _repeats,
}
