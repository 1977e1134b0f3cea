"""`WanVideo`: a diffsynth Wan pipeline behind the `VideoModel` port.

Everything runs through the vendor's own units, forward and memory management. Keyframe tokens are clip frames placed
after the clip's own, with the temporal RoPE table re-indexed for the length of one call, so that the vendor's forward
gives them any position.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowedit.errors import ModelError
from flowedit.frames import slot_count
from flowedit.model import Condition, JointLatent, Latent, Pixels, to_pixels
from flowedit.wan import vendor
from flowedit.wan.encodings import encode_prompt
from flowedit.wan.families import Inputs, hold_first, image_inputs, joint_inputs, route_of
from flowedit.wan.lora import Lora
from flowedit.wan.routes import clip_condition
from flowedit.wan.segments import Segment, Segments, source_turned

TRAIN_TIMESTEPS = 1000
"""Wan counts noise in thousandths; this is the only place that does."""


@dataclass(frozen=True, kw_only=True)
class PreparedCondition:
    """Words and images as the transformer takes them, encoded once per run.

    Attributes:
        positive, negative: text contexts of the two prompts; None for the second where guidance is off.
        guidance: classifier-free guidance scale.
        num_slots: latent slots of the clip.
        clip, joint: what the images add to the transformer's arguments, without and with the keyframes' tokens.
        segments: what is shown as clean tokens of its own beside the sequence.
        lazy: keeps over some steps what guidance adds to a velocity; None computes it at each.
    """

    positive: Tensor
    negative: Tensor | None
    guidance: float
    num_slots: int
    clip: Inputs
    joint: Inputs
    segments: Segments
    lazy: "LazyGuidance | None" = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What the transformers of a checkpoint were trained for.

    Attributes:
        boundary: sigma under which the second expert takes over, where there is one.
        refines: whether they were trained to see a clip between the keyframes: the source, or an estimate to refine.
        segments: whether they were trained to see source and images as tokens with source ids.
    """

    boundary: float = 0.875
    refines: bool = False
    segments: bool = False


class WanVideo:
    """A diffsynth `WanVideoPipeline` as a `VideoModel`.

    Attributes:
        name: name of the checkpoint, for manifests and reports.
        size_multiple: what height and width must divide by.
        negative_every: steps from one forward of the negative prompt to the next; see `flowedit.wan.pace`.
        loras: what was added to its transformers when they were loaded.
    """

    def __init__(
        self,
        pipe: "vendor.WanVideoPipeline",
        *,
        name: str = "wan",
        trained: Trained | None = None,
        tiling: Mapping[str, Any] | None = None,
        words: Callable[[str], Tensor] | None = None,
        vendor_state: bool = False,
    ) -> None:
        """Wrap a loaded pipeline.

        Args:
            pipe: with its parts set.
            name: of the checkpoint.
            trained: what its transformers were trained for; None for the vendor's text-to-video models.
            tiling: arguments of the VAE's tiled mode (`tile_size`, `tile_stride`); None encodes whole frames.
            words: gives a prompt's context, `(1, n, d)`, for a pipeline without a text encoder; None asks the pipeline.
            vendor_state: keep the latents between steps in the pipeline's own type, as the vendor does: in bfloat16
                the result is then the vendor's bit for bit, and loses bits at every step.
        """
        self.pipe = pipe
        self.name = name
        self.trained = trained or Trained()
        self.size_multiple = int(pipe.height_division_factor)
        self.negative_every = 1
        self.loras: tuple[Lora, ...] = ()
        self._tiling, self._words, self._vendor_state = tiling, words, vendor_state
        self._last: tuple[Pixels, Latent] | None = None

    def retiled(self, tiling: Mapping[str, Any] | None) -> "WanVideo":
        """The same model with another tiling of its VAE; None encodes whole frames."""
        other = copy(self)
        other._tiling, other._last = tiling, None
        return other

    @property
    def _tiles(self) -> dict[str, Any]:
        return {"tiled": self._tiling is not None, **(self._tiling or {})}

    @property
    def takes_images(self) -> bool:
        """Whether the checkpoint has a route for images, beside joint tokens, which all take."""
        return self.trained.segments or route_of(self.pipe) is not None

    def encode(self, video: Pixels) -> Latent:
        """Clean latents of a clip, normalised per channel: float32, or the pipeline's type where the state is in it."""
        if not self._vendor_state:
            return self._encode(video).float()
        # The vendor scales 8-bit values after the cast, which in bfloat16 is another number.
        levels = ((video.float() + 1) * 127.5).round()
        return self._encode(levels.to(self.pipe.torch_dtype) * (2 / 255) - 1)

    def decode(self, latents: Latent) -> Pixels:
        """The clip that clean latents stand for, float32 in [-1, 1]."""
        self.pipe.load_models_to_device(["vae"])
        latents = latents.to(dtype=self.pipe.torch_dtype)
        return self.pipe.vae.decode(latents, device=self.pipe.device, **self._tiles).float().to(self.pipe.device)

    def prepare(self, condition: Condition) -> PreparedCondition:
        """Encode words and images once."""
        images, segments = self._shown(condition)
        guided = condition.guidance != 1
        told = segments.instruct if self.trained.segments else str
        return PreparedCondition(
            positive=self._context(told(condition.prompt)),
            negative=self._context(condition.negative_prompt) if guided else None,
            guidance=condition.guidance,
            num_slots=slot_count(condition.shape.num_frames),
            clip=images,
            joint=joint_inputs(images, condition.key_slots),
            segments=segments,
            lazy=LazyGuidance(self.negative_every) if guided and self.negative_every > 1 else None,
        )

    def velocity(
        self, latents: JointLatent, sigma: float, prepared: PreparedCondition, position_ids: Sequence[int]
    ) -> JointLatent:
        """The velocity after guidance, in the latents' type; see `flowedit.model.VideoModel.velocity`."""
        models, place = self._models_at(sigma), {"dtype": self.pipe.torch_dtype, "device": self.pipe.device}
        images = prepared.clip if latents.shape[2] == prepared.num_slots else prepared.joint
        # In float32 first, as the vendor has it: in bfloat16 the product rounds otherwise.
        timestep = torch.tensor([sigma * TRAIN_TIMESTEPS], dtype=torch.float32).to(**place)
        noisy = hold_first(latents, images).to(**place)
        forward = partial(self.pipe.model_fn, **models, **images, timestep=timestep)

        def see(context: Tensor, shown: tuple[Segment, ...]) -> Tensor:
            seen = torch.cat([noisy, *(segment.latents.to(**place) for segment in shown)], dim=2)
            at = [*position_ids, *(index for segment in shown for index in segment.positions)]
            ids = [0.0] * len(position_ids) + [segment.source_id for segment in shown for _ in segment.positions]
            with positions(models["dit"], at), source_turned(models["dit"], ids):
                return forward(latents=seen, context=context)[:, :, : len(position_ids)]

        segments = prepared.segments
        v = see(prepared.positive, segments.all)
        if prepared.negative is not None:
            unprompted = partial(see, prepared.negative)
            guided = partial(segments.guide, v, unprompted, latents, sigma, prepared.guidance)
            v = guided() if prepared.lazy is None else prepared.lazy.guide(v, sigma, guided)
        return v.to(dtype=latents.dtype)

    def after_step(self, latents: Latent, sigma: float, prepared: PreparedCondition) -> Latent:
        """Put the clean first latent back for a checkpoint that is conditioned by one; for others, nothing."""
        del sigma
        return hold_first(latents, prepared.clip)

    def _shown(self, condition: Condition) -> tuple[Inputs, Segments]:
        """Images, and the clip for a model that sees one: arguments of the transformer, and tokens of their own."""
        clip, images = condition.estimate, condition.images
        if clip is not None and not self.trained.refines:
            raise ModelError(
                f"{self.name} was not trained to see an estimate between the keyframes (method refine). Use difference."
            )
        if self.trained.segments:
            source = None if condition.source is None else self._encode(to_pixels(condition.source))
            pictures = [self._encode(to_pixels(image[None])) for image in images.values()]
            return {}, Segments.of(source, pictures, condition.image_positions or [0] * len(pictures))
        if clip is None and condition.source is not None and self.trained.refines:
            clip = condition.source.copy()
            for index, image in images.items():
                clip[index] = image
        if clip is None:
            return image_inputs(self.pipe, images, condition.shape, self._tiling), Segments()
        return {"y": clip_condition(to_pixels(clip), condition.confidence, list(images), self._encode)}, Segments()

    def _models_at(self, sigma: float) -> dict[str, Any]:
        """The modules of one forward, on the device; the low-noise expert once sigma falls under its boundary."""
        pipe = self.pipe
        low_noise = pipe.dit2 is not None and sigma * TRAIN_TIMESTEPS < self.trained.boundary * TRAIN_TIMESTEPS
        names = pipe.in_iteration_models_2 if low_noise else pipe.in_iteration_models
        pipe.load_models_to_device(names)
        return {name.removesuffix("2"): getattr(pipe, name) for name in names}

    def _encode(self, video: Float[Tensor, "b 3 F H W"]) -> Float[Tensor, "b c f h w"]:
        if self._last is not None:
            seen, latents = self._last
            if seen.device == video.device and torch.equal(video, seen):
                return latents
        self.pipe.load_models_to_device(["vae"])
        latents = self.pipe.vae.encode(video.to(self.pipe.torch_dtype), device=self.pipe.device, **self._tiles)
        latents = latents.to(dtype=self.pipe.torch_dtype, device=self.pipe.device)
        # An estimate is encoded twice, as what the decoded change is laid on and as what the model sees.
        self._last = (video, latents) if self.trained.refines else None
        return latents

    def _context(self, prompt: str) -> Tensor:
        if self._words is not None:
            return self._words(prompt).to(device=self.pipe.device, dtype=self.pipe.torch_dtype)
        return encode_prompt(self.pipe, prompt)


class LazyGuidance:
    """What guidance adds to the prompt's velocity, computed at every n-th step and kept between.

    A run that begins again at a higher noise level begins afresh, and so does another length of sequence.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._age, self._sigma = 0, -1.0
        self._push: Tensor | None = None

    def guide(self, v: Tensor, sigma: float, compute: Callable[[], Tensor]) -> Tensor:
        """The guided velocity at this step, where the prompt's is `v`."""
        began, self._sigma = sigma > self._sigma, sigma
        if self._push is None or self._push.shape != v.shape or began or self._age >= self._every:
            guided = compute()
            self._push, self._age = guided - v, 1
            return guided
        self._age += 1
        return v + self._push


@contextmanager
def positions(dit: "vendor.WanModel", position_ids: Sequence[int]) -> Iterator[None]:
    """Give the latent frames of one forward any temporal RoPE positions, by re-indexing the table it slices.

    The vendor takes the first `f` rows of `dit.freqs[0]`; for the length of the block those are the rows asked for.
    """
    table = dit.freqs
    dit.freqs = (table[0][list(position_ids)], *table[1:])
    try:
        yield
    finally:
        dit.freqs = table
