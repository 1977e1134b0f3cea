"""The contract of a model behind the port: a right model holds it, and each mistake fails the property it breaks."""

import pytest
import torch
from einops import rearrange, repeat

from flowedit.frames import slot_of
from flowedit.lessons.contract import check_model, point_velocity
from flowedit.model import to_pixels


class Average:
    name, size_multiple = "average", 8

    def encode(self, video):
        grouped = torch.cat([repeat(video[:, :, :1], "b c 1 h w -> b c 4 h w"), video[:, :, 1:]], dim=2)
        return rearrange(grouped, "b c (f g) (h a) (w d) -> b c f h w g a d", g=4, a=8, d=8).mean((-3, -2, -1))

    def decode(self, latents):
        return repeat(latents, "b c f h w -> b c (f g) (h a) (w d)", g=4, a=8, d=8)[:, :, 3:]

    def prepare(self, condition):
        pictures = {slot_of(i): self.encode(to_pixels(image[None])) for i, image in condition.images.items()}
        count = slot_of(condition.shape.num_frames - 1) + 1
        return torch.cat([pictures[min(pictures, key=lambda k: abs(k - s))] for s in range(count)], dim=2)

    def velocity(self, latents, sigma, prepared, position_ids):
        return point_velocity(self, latents, sigma, prepared, position_ids)

    def after_step(self, latents, sigma, prepared):
        return latents


def failures(**wrong):
    return [line for line in check_model(type("Wrong", (Average,), wrong)()) if line.startswith("FAILS")]


def test_a_right_model_holds_every_property():
    assert failures() == []


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"encode": lambda self, v: Average.encode(self, v)[:, :, 1:]}, "4n + 1 frames"),
        ({"decode": lambda self, z: Average.decode(self, z)[:, :, 1:]}, "as many frames"),
        ({"encode": lambda self, v: Average.encode(self, v) + v.mean()}, "none after them"),
        ({"encode": lambda self, v: Average.encode(self, v.flip(2)).flip(2)}, "none after them"),
        ({"velocity": lambda self, *a: -point_velocity(self, *a)}, "data to noise"),
        ({"velocity": lambda self, x, s, p, i: s * point_velocity(self, x, s, p, i)}, "data to noise"),
        ({"velocity": lambda self, *a: point_velocity(self, *a)[:, :, 1:]}, "shape of its latents"),
        ({"velocity": lambda self, *a: point_velocity(self, *a) / 0}, "finite"),
        ({"velocity": lambda self, *a: point_velocity(self, *a) + torch.rand(()) / 99}, "same answer"),
    ],
)
def test_each_mistake_fails_its_property(broken, says):
    assert any(says in line for line in failures(**broken)), failures(**broken)
