"""Checks of lesson 08: the velocity of a point mass, as a model's method."""

from collections.abc import Callable, Iterator

import torch

from flowedit.flow import interpolate, velocity
from flowedit.lessons.checks import Claim, close, equal, exercise


@exercise("8.1")
def point_velocity(answer: Callable[..., torch.Tensor]) -> Iterator[Claim]:
    """On the path from the clip to a noise it is `noise - clip`, at any noise level and for any choice of slots."""
    generator = torch.Generator().manual_seed(81)
    clip, noise = torch.randn(2, 1, 3, 5, 2, 2, generator=generator)
    for sigma in (1.0, 0.5, 0.1):
        got = answer(None, interpolate(clip, noise, sigma), sigma, clip, range(5))
        equal_shape = equal(
            "should have the shape of the latents", f"sigma = {sigma}", tuple(got.shape), tuple(clip.shape)
        )
        yield equal_shape
        yield close("should be noise - c on the path", f"sigma = {sigma}", got, velocity(clip, noise), tolerance=1e-4)
    slots = [0, 1, 2, 3, 4, 0, 3]
    joint = answer(None, interpolate(clip[:, :, slots], noise[:, :, slots], 0.5), 0.5, clip, tuple(slots))
    says = "should take each latent frame's clip from its position"
    yield close(says, f"position_ids = {slots}", joint, velocity(clip, noise)[:, :, slots], tolerance=1e-4)
    grey = answer(None, 0.5 * noise, 0.5, None, range(5))
    yield close("should head for grey where nothing was prepared", "prepared = None", grey, noise, tolerance=1e-4)
