"""Independent models behind the port, in float64, whose right answers are known in closed form."""

from types import SimpleNamespace

import numpy as np
import torch

from flowedit.correction import Constant
from flowedit.methods.branches import EditProblem

SIZE = (8, 12)  # height, width of the clips that the tests make
POOL = 4


def pictures(count, seed=0, size=SIZE):
    """Random uint8 pictures (count, H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


class PointMass:
    """The exact flow between one clip (the centre) and noise: v = (x - centre) / sigma.

    The centre depends on the words and on the images of the condition, so that a prompt or a keyframe that never
    reaches the model shows. Its autoencoder pools space by 4 and takes a multiple of the mean of each group of
    frames, plus a share of the motion inside it, so that every keyframe encoding and every slot differ.
    """

    name = "point mass"
    size_multiple = POOL

    def __init__(self):
        self.conditions, self.calls = [], []

    def encode(self, video):
        pooled = torch.nn.functional.avg_pool3d(video.double(), (1, POOL, POOL))
        slots = [pooled[:, :, :1]]
        for first in range(1, pooled.shape[2], 4):
            group = pooled[:, :, first : first + 4]
            motion = group[:, :, -1:] - pooled[:, :, first - 1 : first]
            slots.append(1.2 * group.mean(dim=2, keepdim=True) + 0.3 * motion)
        return torch.cat(slots, dim=2)

    def decode(self, latents):
        frames = [
            latents[:, :, :1],
            *(latents[:, :, k : k + 1].expand(-1, -1, 4, -1, -1) for k in range(1, latents.shape[2])),
        ]
        return torch.cat(frames, dim=2).repeat_interleave(POOL, 3).repeat_interleave(POOL, 4)

    def prepare(self, condition):
        self.conditions.append(condition)
        positive, negative = (self._centre(words, condition) for words in (condition.prompt, condition.negative_prompt))
        centre = negative + condition.guidance * (positive - negative)
        return SimpleNamespace(centre=centre, condition=condition)

    def velocity(self, latents, sigma, prepared, position_ids):
        self.calls.append((sigma, tuple(position_ids), prepared.condition))
        return (latents - prepared.centre[:, :, list(position_ids)]) / sigma

    def after_step(self, latents, sigma, prepared):
        return latents

    def _centre(self, words, condition):
        shape = condition.shape
        slots = (shape.num_frames - 1) // 4 + 1
        rng = np.random.default_rng([*words.encode(), 7])
        centre = torch.from_numpy(rng.standard_normal((1, 3, slots, shape.height // POOL, shape.width // POOL)))
        for index, image in condition.images.items():
            shown = self.encode(torch.from_numpy(image).permute(2, 0, 1)[None, :, None] / 127.5 - 1)
            centre = centre + 0.1 * shown
            centre[:, :, (index + 3) // 4] += shown[:, :, 0]
        return centre


class Curved(PointMass):
    """A field that is neither straight nor separable: every frame bends with all the frames at its position."""

    def velocity(self, latents, sigma, prepared, position_ids):
        v = super().velocity(latents, max(sigma, 0.2), prepared, position_ids)
        ids = torch.tensor(position_ids)
        together = [latents[:, :, ids == i].mean(dim=2) for i in ids.tolist()]
        return v + torch.sin(3 * latents) + 0.5 * torch.stack(together, dim=2)


def point_problem(sigmas, *, gain=None, beta=0.0, slots=(0, 2), **changes):
    """An edit between two point masses, the source's own clip and a target; and the target."""
    generator = torch.Generator().manual_seed(0)

    def draw(frames):
        return torch.randn((1, 2, frames, 3, 4), generator=generator, dtype=torch.float64)

    source, keys, source_keys, noise, target = (draw(count) for count in (4, len(slots), len(slots), 4, 4))
    given = {"source": source, "keys": keys, "source_keys": source_keys, "slots": slots, "noise": noise}
    given |= {"sigmas": sigmas, "gain": gain or Constant(0.0), "beta": beta, "hook": lambda latents, sigma: latents}
    given |= {"v_target": point_velocity(target), "v_source": point_velocity(source)}
    return EditProblem(**{**given, **changes}), target


def point_velocity(centre):
    """The exact velocity of a point mass."""
    return lambda x_main, x_key, sigma: (x_main - centre) / sigma
