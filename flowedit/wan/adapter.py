"""`WanVideo`: a diffsynth Wan pipeline behind the `VideoModel` port.

Everything runs through the vendor's own units, forward and memory management. Keyframe tokens are clip frames placed
after the clip's own, with the temporal RoPE table re-indexed for the length of one call, so that the vendor's forward
gives them any position.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowedit.errors import ModelError
from flowedit.flow import guide
from flowedit.model import Condition, JointLatent, Latent, Pixels
from flowedit.wan import vendor
from flowedit.wan.routes import i2v_condition, unit_images

TRAIN_TIMESTEPS = 1000
"""Wan counts noise in thousandths; this is the only place that does."""
MASK_CHANNELS = 4


@dataclass(frozen=True, kw_only=True)
class PreparedCondition:
    """Words and images as the transformer takes them, encoded once per run.

    Attributes:
        positive: text context of the prompt.
        negative: text context of the negative prompt; None where guidance is off.
        guidance: classifier-free guidance scale.
        image: mask and latents of the image-to-video route, (1, c, f, h, w); None for a text-to-video model.
        clip_feature: CLIP features of the first (and last) image; None where the model takes none.
        key_slots: slots whose tokens follow the clip's in a joint sequence.
    """

    positive: Tensor
    negative: Tensor | None
    guidance: float
    image: Tensor | None
    clip_feature: Tensor | None
    key_slots: tuple[int, ...]


class WanVideo:
    """A diffsynth `WanVideoPipeline` as a `VideoModel`.

    Attributes:
        name: name of the checkpoint, for manifests and reports.
        pipe: the vendor's pipeline.
        size_multiple: what height and width must divide by.
    """

    def __init__(self, pipe: "vendor.WanVideoPipeline", *, name: str = "wan", tiling: dict | None = None) -> None:
        """Wrap a loaded pipeline.

        Args:
            pipe: with `dit`, `vae`, `text_encoder` and `tokenizer` set.
            name: name of the checkpoint.
            tiling: arguments of the VAE's tiled mode (`tile_size`, `tile_stride`); None encodes whole frames.
        """
        self.pipe = pipe
        self.name = name
        self.size_multiple = int(pipe.height_division_factor)
        self._tiling = {"tiled": tiling is not None, **(tiling or {})}

    @property
    def takes_images(self) -> bool:
        """Whether the transformer has channels for the image-to-video route."""
        channels = self.pipe.vae.z_dim
        return bool(self.pipe.dit.require_vae_embedding and self.pipe.dit.in_dim == 2 * channels + MASK_CHANNELS)

    def encode(self, video: Pixels) -> Latent:
        """Clean latents of a clip, float32, normalised per channel."""
        return self._encode(video).float()

    def decode(self, latents: Latent) -> Pixels:
        """The clip that clean latents stand for, float32 in [-1, 1]."""
        self.pipe.load_models_to_device(["vae"])
        latents = latents.to(dtype=self.pipe.torch_dtype)
        return self.pipe.vae.decode(latents, device=self.pipe.device, **self._tiling).float().to(self.pipe.device)

    def prepare(self, condition: Condition) -> PreparedCondition:
        """Encode words and images once.

        Raises:
            ModelError: images for a model that has no channels for them.
        """
        guided = condition.guidance != 1
        return PreparedCondition(
            positive=self._context(condition.prompt),
            negative=self._context(condition.negative_prompt) if guided else None,
            guidance=condition.guidance,
            image=self._image_condition(condition),
            clip_feature=self._clip_feature(condition),
            key_slots=condition.key_slots,
        )

    def velocity(
        self, latents: JointLatent, sigma: float, prepared: PreparedCondition, position_ids: Sequence[int]
    ) -> JointLatent:
        """The velocity after guidance, float32; see `flowedit.model.VideoModel.velocity`."""
        models = self._models_at(sigma)
        timestep = torch.tensor([sigma * TRAIN_TIMESTEPS], dtype=torch.float32)
        inputs = {
            "latents": latents.to(dtype=self.pipe.torch_dtype, device=self.pipe.device),
            "timestep": timestep.to(dtype=self.pipe.torch_dtype, device=self.pipe.device),
            "y": _joint_image(prepared, latents.shape[2]),
            "clip_feature": prepared.clip_feature,
        }
        with positions(models["dit"], position_ids):
            v = self.pipe.model_fn(**models, **inputs, context=prepared.positive)
            if prepared.negative is not None:
                v = guide(v, self.pipe.model_fn(**models, **inputs, context=prepared.negative), prepared.guidance)
        return v.to(dtype=latents.dtype)

    def after_step(self, latents: Latent, sigma: float, prepared: PreparedCondition) -> Latent:
        """Nothing to do for a model whose images are channels."""
        del sigma, prepared
        return latents

    def _models_at(self, sigma: float) -> dict[str, Any]:
        """The modules of one forward, on the device; the low-noise expert once sigma falls under its boundary."""
        pipe = self.pipe
        low_noise = pipe.dit2 is not None and sigma * TRAIN_TIMESTEPS < self._boundary * TRAIN_TIMESTEPS
        names = pipe.in_iteration_models_2 if low_noise else pipe.in_iteration_models
        pipe.load_models_to_device(names)
        return {name.removesuffix("2"): getattr(pipe, name) for name in names}

    _boundary = 0.875
    """Where Wan2.2's text-to-video experts hand over."""

    def _encode(self, video: Float[Tensor, "b 3 F H W"]) -> Float[Tensor, "b c f h w"]:
        self.pipe.load_models_to_device(["vae"])
        video = video.to(dtype=self.pipe.torch_dtype)
        latents = self.pipe.vae.encode(video, device=self.pipe.device, **self._tiling)
        return latents.to(dtype=self.pipe.torch_dtype, device=self.pipe.device)

    def _context(self, prompt: str) -> Tensor:
        self.pipe.load_models_to_device(["text_encoder"])
        return vendor.WanVideoUnit_PromptEmbedder().encode_prompt(self.pipe, prompt)

    def _image_condition(self, condition: Condition) -> Tensor | None:
        if not self.takes_images:
            if condition.images:
                raise ModelError(
                    f"The model {self.name!r} cannot see keyframe images: it is a text-to-video model. "
                    "Use conditioning tokens or none, or an image-to-video checkpoint."
                )
            return None
        height, width = condition.shape.height, condition.shape.width
        images = np.stack(list(condition.images.values())) if condition.images else np.zeros((0, height, width, 3))
        pixels = unit_images(
            torch.from_numpy(images.astype(np.uint8)), dtype=self.pipe.torch_dtype, device=self.pipe.device
        )
        return i2v_condition(pixels, list(condition.images), condition.shape.num_frames, self._encode)

    def _clip_feature(self, condition: Condition) -> Tensor | None:
        pipe = self.pipe
        if not condition.images or pipe.image_encoder is None or not pipe.dit.require_clip_embedding:
            return None
        pipe.load_models_to_device(["image_encoder"])
        ends = [min(condition.images), max(condition.images)] if pipe.dit.has_image_pos_emb else [min(condition.images)]
        images = [torch.from_numpy(condition.images[index])[None] for index in ends]
        features = [
            pipe.image_encoder.encode_image([unit_images(image, dtype=pipe.torch_dtype, device=pipe.device)])
            for image in images
        ]
        return torch.cat(features, dim=1).to(dtype=pipe.torch_dtype, device=pipe.device)


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


def _joint_image(prepared: PreparedCondition, num_slots: int) -> Tensor | None:
    """The image condition of the sequence: the clip's frames, then those of the keyframe slots if they are in it."""
    image = prepared.image
    if image is None or image.shape[2] == num_slots:
        return image
    return torch.cat([image, image[:, :, list(prepared.key_slots)]], dim=2)
