"""Encoded clips together with keyframes encoded by themselves, as an edit encodes them: what the LoRA is trained on."""

from collections.abc import Callable

import torch
from einops import repeat
from torch import Tensor

from flowedit.tiny.config import SPATIAL, TEMPORAL
from training.dit import Encoder, Ring
from training.feed import Order
from training.keyframes import disagreement, slot
from training.sequence import encode_sequence

KEYS = 5
"""Largest number of keyframes."""
HELD = 0.7
"""Share of the keyframe tokens that are a picture held still; the others are the clip's own latents."""
Shape = tuple[int, int, int]
"""Frames, height and width of a clip."""


class KeyEncoder(Encoder):
    """Rings of clips that also hold keyframes encoded by themselves, as an edit encodes them."""

    @torch.no_grad()
    def grey(self, shape: Shape) -> Tensor:
        """What the i2v route shows where there is no keyframe: an empty mask and the latents of a grey clip.

        Returns:
            ``(1, 4 + z, f, h, w)``.
        """
        frames, height, width = shape
        latents = self._encode(torch.zeros(1, 3, frames, height, width, device=self.run.device))
        return torch.cat([torch.zeros_like(latents[:, :1]).expand(-1, TEMPORAL, -1, -1, -1), latents], dim=1)

    def fill(self, each: int) -> None:
        """Write some lessons of every shape; guesses are not needed here."""
        for shape in self.rings:
            for _ in range(each):
                self.write(shape, self.feed.lesson(self.size, *shape))

    def renew(self, draw: Callable[[], Shape]) -> None:
        """Write one lesson."""
        shape = draw()
        self.write(shape, self.feed.lesson(self.size, *shape))

    @torch.no_grad()
    def write(self, shape: Shape, order: Order) -> None:
        """Encode a lesson, and pictures of it held still, into the ring of its shape."""
        lesson, ring = order.deliver(), self.rings[shape]
        styled = _jitter(lesson.target, self.feed.g)
        slots, index = choose_slots(lesson.mask[:, :, :, 0, 0].to(self.run.device))
        given = lesson.mask.to(self.run.device).amax(1)[:, :, 0, 0].gather(1, slots) > 0
        pictures = torch.where(column(given), _frames(lesson.keys, index), _frames(styled, index))
        held = torch.cat([self._encode(part) for part in repeat(pictures, "b k c h w -> (b k) c t h w", t=5).split(8)])
        held = held.unflatten(0, slots.shape)
        at = (torch.arange(len(slots)) + ring.next) % len(ring.data["ids"])
        super().write(shape, order)
        ring.data["slots"][at] = slots
        ring.data["held"][at] = torch.where(column(slots == 0), held[:, :, :, 0], held[:, :, :, 1]).to(torch.bfloat16)

    def batch(self, shape: Shape, number: int) -> dict[str, Tensor]:
        """Draw a batch; all its examples have the same number of keyframes, each its own slots.

        Returns:
            ``z0``, ``zs`` (source), ``y`` (keyframe images on grey), ``key`` ``(b, z, n, h, w)``, ``slots``
            ``(b, n)`` and ``ids``.
        """
        ring, device = self.rings[shape], self.run.device
        at = torch.randint(0, ring.filled, (number,), device=device)
        z0, zs, images, held = (ring.data[name][at].float() for name in ("z0", "zs", "y", "held"))
        n = self.feed.rng.randint(1, held.shape[1])
        slots = ring.data["slots"][at, :n]
        still = torch.rand(number, 1, 1, 1, 1, device=device) < HELD
        key = torch.where(still, held[:, :n].transpose(1, 2), at_slots(z0, slots))
        y = torch.cat([ring.data["mask"][at].float().expand(-1, -1, -1, *z0.shape[-2:]), images], dim=1)
        return {"z0": z0, "zs": zs, "y": y, "key": key, "slots": slots, "ids": ring.data["ids"][at]}

    def _ring(self, frames: int, height: int, width: int) -> Ring:
        """Add room for the keyframes."""
        ring = super()._ring(frames, height, width)
        n, f = len(ring.data["ids"]), slot(frames - 1) + 1
        size, device = (self.vae.z_dim, height // SPATIAL, width // SPATIAL), self.run.device
        ring.data["held"] = torch.zeros(n, min(KEYS, f), *size, device=device, dtype=torch.bfloat16)
        ring.data["slots"] = torch.zeros(n, min(KEYS, f), device=device, dtype=torch.int64)
        return ring

    def _encode(self, video: Tensor) -> Tensor:
        """Normalised latents of clips."""
        with self.run.autocast():
            return (encode_sequence(self.model, video)[0].float() - self.mean) * self.scale


def choose_slots(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the slots of keyframe tokens: those of the clip's keyframe images first, then any others, in random order.

    Args:
        mask: ``(b, 4, f)`` of the i2v route.

    Returns:
        ``(b, k)`` slots, no two alike in a row, and the pixel frames of their pictures: the one that the mask marks,
        else the last one of the slot.
    """
    marked = mask.amax(1)
    slots = (torch.rand_like(marked) + marked).topk(min(KEYS, mask.shape[2]), dim=1).indices
    last = torch.where(marked > 0, mask.argmax(1), TEMPORAL - 1).gather(1, slots)
    return slots, torch.where(slots == 0, 0, TEMPORAL * (slots - 1) + 1 + last)


def at_slots(latents: Tensor, slots: Tensor) -> Tensor:
    """Take each clip's latents ``(b, c, f, h, w)`` at its own slots ``(b, n)``: ``(b, c, n, h, w)``."""
    b, c, _, h, w = latents.shape
    return latents.gather(2, slots[:, None, :, None, None].expand(b, c, slots.shape[1], h, w))


def column(value: Tensor) -> Tensor:
    """Give ``(n,)`` or ``(b, k)`` the axes of latents."""
    return value.view(*value.shape, *(1,) * (5 - value.dim()))


def _jitter(target: Tensor, g: torch.Generator) -> Tensor:
    """Give the frames of some clips ``(b, 3, T, H, W)`` in [-1, 1] their own errors of colour and contrast."""
    styled = disagreement(g, len(target), target.shape[2]).applied((target.transpose(1, 2) + 1) / 2)
    return styled.transpose(1, 2) * 2 - 1


def _frames(video: Tensor, index: Tensor) -> Tensor:
    """Take pixel frames ``(b, k)`` of clips ``(b, 3, T, H, W)``: ``(b, k, 3, H, W)``."""
    return at_slots(video, index).transpose(1, 2)
