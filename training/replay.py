"""Encoded clips, kept on the device and drawn from many times, since rendering and encoding cost more than a step."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from einops import repeat
from torch import Tensor

from flowedit.wan import vendor
from training.estimates import Estimates
from training.keyframes import Lesson
from training.lessons import Lessons, Order
from training.loop import Run
from training.sequence import decode_sequence, encode_sequence

Shape = tuple[int, int, int]
"""Frames, height and width of a clip."""
WITHOUT = 0.6
"""Lessons without estimates, for every one with them."""


@dataclass
class Ring:
    """Rows of one shape, the oldest of which are written over.

    Attributes:
        room: rows kept.
        data: tensors whose first axis counts rows; made when the first ones come.
        filled: rows written so far, at most the room.
        next: where the next row goes.
    """

    room: int
    data: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    filled: int = 0
    next: int = 0

    def write(self, rows: dict[str, Tensor]) -> None:
        """Put rows in."""
        number = len(next(iter(rows.values())))
        at = (torch.arange(number) + self.next) % self.room
        for name, value in rows.items():
            if name not in self.data:
                self.data[name] = torch.zeros(self.room, *value.shape[1:], device=value.device, dtype=value.dtype)
            self.data[name][at] = value
        self.next = (self.next + number) % self.room
        self.filled = min(self.filled + number, self.room)

    def draw(self, number: int) -> dict[str, Tensor]:
        """Draw rows, in their own types; ``row`` says which."""
        device = next(iter(self.data.values())).device
        at = torch.randint(0, self.filled, (number,), device=device)
        return {"row": at, **{name: value[at] for name, value in self.data.items()}}


class Replay:
    """Renders lessons and encodes them.

    Attributes:
        latents: rings of what the flow is trained on, by shape: ``z0`` (target), ``zs`` (source), ``keys`` (keyframes
            in the source), ``ze`` (estimate), ``answer`` (what the model last made of it, at first the source),
            ``mask``, ``confidence``, ``estimated`` (whether there is an estimate), ``held`` and ``change``
            ``(b, z, k, h, w)`` (pictures held still, and minus the source's own), ``slots`` and ``ids``.
        finished: rings of what edits end with: latents as above beside pixels, ``truth``, ``estimate``, ``source``,
            what the latents of these two are decoded to, ``drawn`` and ``seen``, ``need`` and ``agreement``.
    """

    def __init__(
        self, run: Run, lessons: Lessons, vae: "vendor.WanVideoVAE", shapes: list[Shape], workers: int | None = None
    ) -> None:
        """Open empty rings and start the processes that make estimates."""
        self.run, self.lessons = run, lessons
        self.model = vae.model.to(run.device).requires_grad_(requires_grad=False)
        self.mean, self.scale = (v.to(run.device).view(1, -1, 1, 1, 1) for v in vae.scale)
        self.latents = {shape: Ring(8 if run.smoke else 3072) for shape in shapes}
        self.finished = {shape: Ring(8 if run.smoke else 640) for shape in shapes}
        self.size = 4 if run.smoke else 16
        if workers is None:
            workers = 0 if run.smoke else max(1, (os.cpu_count() or 2) - 1)
        self.estimates, self.ahead = Estimates(workers), max(1, workers)
        self.written = {True: 0, False: 0}
        self.orders: deque[tuple[Shape, Order]] = deque()

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        """Normalised latents of clips ``(b, 3, T, H, W)``."""
        with self.run.autocast():
            raw = torch.cat([encode_sequence(self.model, part)[0].float() for part in video.split(8)])
        return (raw - self.mean) * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """Clips of normalised latents ``(b, z, f, h, w)``."""
        with self.run.autocast():
            return decode_sequence(self.model, latents / self.scale + self.mean).float()

    def fill(self, each: int) -> None:
        """Write some lessons of every shape; order as many with estimates as there are processes."""
        for shape in self.latents:
            self._order(shape)
            for _ in range(each):
                self.write(shape, self.lessons.lesson(self.size, *shape).deliver())

    def renew(self, draw: Callable[[], Shape]) -> None:
        """Order lessons, and take in the oldest one whose estimates are made; now and then one without estimates.

        Args:
            draw: draws a clip shape.
        """
        for _ in range(min(2, self.ahead - len(self.orders))):
            self._order(draw())
        if self.orders[0][1].ready:
            shape, order = self.orders.popleft()
            self.write(shape, order.deliver())
        elif self.written[False] <= WITHOUT * self.written[True]:
            shape = draw()
            self.write(shape, self.lessons.lesson(self.size, *shape).deliver())

    def _order(self, shape: Shape) -> None:
        self.orders.append((shape, self.lessons.lesson(self.size, *shape, estimates=self.estimates)))

    @torch.no_grad()
    def write(self, shape: Shape, lesson: Lesson) -> None:
        """Encode a lesson into the rings of its shape."""
        rows, estimated = self.encoded(lesson), lesson.estimate is not None
        self.latents[shape].write(rows)
        self.written[estimated] += 1
        if estimated:
            self._finish(shape, lesson, rows)

    @torch.no_grad()
    def encoded(self, lesson: Lesson) -> dict[str, Tensor]:
        """Encode a lesson: rows of a ring of latents."""
        z0, zs, keys = self.encode(torch.cat([lesson.target, lesson.source, lesson.keys])).chunk(3)
        held, plain = self._held(torch.cat([lesson.pictures, lesson.own]), lesson.slots.repeat(2, 1)).chunk(2)
        none = torch.zeros_like(z0[:, :4])
        ze = torch.zeros_like(z0) if lesson.estimate is None else self.encode(lesson.estimate)
        half = {"z0": z0, "zs": zs, "keys": keys, "ze": ze, "answer": zs, "held": held, "change": held - plain}
        half |= {"mask": lesson.mask, "confidence": none if lesson.confidence is None else lesson.confidence}
        rows = {name: value.to(self.run.device, torch.bfloat16) for name, value in half.items()}
        rows |= {"slots": lesson.slots, "ids": lesson.tokens.to(self.run.device)}
        estimated = torch.full((len(z0),), lesson.estimate is not None, device=self.run.device)
        return {**rows, "estimated": estimated}

    def _held(self, pictures: Tensor, slots: Tensor) -> Tensor:
        """Latents of pictures ``(b, k, 3, H, W)``, each held still for its whole group: ``(b, z, k, h, w)``."""
        both = self.encode(repeat(pictures, "b k c h w -> (b k) c t h w", t=5)).unflatten(0, slots.shape)
        first = (slots == 0)[..., None, None, None]
        return torch.where(first, both[:, :, :, 0], both[:, :, :, 1]).transpose(1, 2)

    def _finish(self, shape: Shape, lesson: Lesson, rows: dict[str, Tensor]) -> None:
        """Keep what edits end with."""
        if lesson.estimate is None or lesson.need is None or lesson.agreement is None:
            return
        drawn, seen = (torch.cat([self.decode(p.float()) for p in rows[z].split(4)]).bfloat16() for z in ("ze", "zs"))
        self.finished[shape].write(
            {name: rows[name] for name in ("zs", "ze", "keys", "answer", "mask", "confidence", "ids")}
            | {"truth": _levels(lesson.target), "estimate": _levels(lesson.estimate), "source": _levels(lesson.source)}
            | {"drawn": drawn, "seen": seen, "need": (lesson.need * 255).round().to(torch.uint8)}
            | {"agreement": lesson.agreement}
        )


def _levels(video: Tensor) -> Tensor:
    """8-bit levels of a video in [-1, 1]."""
    return ((video + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
