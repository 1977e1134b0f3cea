"""What each Wan family does with keyframe images: the arguments that its transformer is called with.

The vendor's own units do the encoding wherever it has one; the route is read off the loaded pipeline.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from flowedit.errors import ModelError
from flowedit.frames import ClipShape
from flowedit.wan import vendor
from flowedit.wan.checkpoints import ImageRoute
from flowedit.wan.routes import i2v_condition

Pipe = Any
"""A loaded `WanVideoPipeline`, whose attributes have no types."""
Images = Mapping[int, np.ndarray]
"""Pixel frame -> uint8 image (H, W, 3) in the clip's size."""
Inputs = dict[str, Any]
"""Keyword arguments of the vendor's model function, beside latents, time and text."""
GREY = 127
"""What VACE was trained to see in frames that it is to fill."""
_MASK_CHANNELS = 4
_CLIP_TOKENS, _CLIP_WIDTH = 257, 1280
_PER_FRAME = ("y", "vace_context")


def route_of(pipe: Pipe) -> ImageRoute | None:
    """Tell from a loaded pipeline how it takes images; None for a text-only model."""
    if pipe.vace is not None:
        return "vace"
    if pipe.dit.fuse_vae_embedding_in_latents:
        return "first-latent"
    takes_y = pipe.dit.require_vae_embedding and pipe.dit.in_dim == 2 * pipe.vae.z_dim + _MASK_CHANNELS
    return "i2v" if takes_y else None


def image_inputs(pipe: Pipe, images: Images, shape: ClipShape, tiling: Mapping[str, Any] | None = None) -> Inputs:
    """Encode keyframe images the way the loaded checkpoint was trained to see them.

    `joint_inputs` extends the result to a sequence with keyframe tokens; `tiling` is as for `WanVideo`.
    """
    route = route_of(pipe)
    tiles = {"tiled": tiling is not None, "tile_size": (30, 52), "tile_stride": (15, 26), **(tiling or {})}
    if route is None:
        if images:
            raise ModelError(
                f"This is a text-to-video model with no input for images; got {len(images)} keyframes. "
                "Use conditioning tokens, or an image-to-video or VACE checkpoint."
            )
        return {}
    return _ROUTES[route](pipe, images, shape, tiles)


def joint_inputs(inputs: Inputs, slots: Sequence[int]) -> Inputs:
    """Extend what belongs to frames by the frames of a joint sequence: each keyframe token sees what its slot sees."""
    if not slots:
        return inputs
    longer = {
        name: torch.cat([inputs[name], inputs[name][:, :, list(slots)]], dim=2) for name in _PER_FRAME if name in inputs
    }
    return {**inputs, **longer}


def hold_first(latents: Float[Tensor, "b c f h w"], inputs: Inputs) -> Float[Tensor, "b c f h w"]:
    """Put the clean first latent in its place, as the vendor does at each step, where a checkpoint is given one."""
    first = inputs.get("first_frame_latents")
    return latents if first is None else torch.cat([first.to(latents), latents[:, :, 1:]], dim=2)


def vace_clip(images: Images, shape: ClipShape) -> tuple[list[Image.Image], list[Image.Image]]:
    """Draw what VACE is given: keyframes in a grey clip, and masks that are black where a frame is to be kept."""
    size = (shape.height, shape.width, 3)
    grey, white = (Image.fromarray(np.full(size, value, np.uint8)) for value in (GREY, 255))
    black = Image.fromarray(np.zeros(size, np.uint8))
    frames = [Image.fromarray(images[i]) if i in images else grey for i in range(shape.num_frames)]
    return frames, [black if i in images else white for i in range(shape.num_frames)]


def _encode(pipe: Pipe, tiles: Mapping[str, Any], clip: Tensor) -> Tensor:
    pipe.load_models_to_device(["vae"])
    latent = pipe.vae.encode(clip.to(pipe.torch_dtype), device=pipe.device, **tiles)
    return latent.to(dtype=pipe.torch_dtype, device=pipe.device)


def _pixels(pipe: Pipe, images: Images, indices: Sequence[int], shape: ClipShape) -> Float[Tensor, "k 3 H W"]:
    if not indices:
        return torch.zeros(0, 3, shape.height, shape.width, dtype=pipe.torch_dtype, device=pipe.device)
    stacked = torch.from_numpy(np.stack([images[index] for index in indices]))
    # The vendor scales after the cast: in bfloat16 the other order gives other values.
    return (stacked.to(dtype=pipe.torch_dtype, device=pipe.device) * (2 / 255) - 1).permute(0, 3, 1, 2)


def _i2v_inputs(pipe: Pipe, images: Images, shape: ClipShape, tiles: Mapping[str, Any]) -> Inputs:
    pixels = _pixels(pipe, images, list(images), shape)
    inputs = {"y": i2v_condition(pixels, list(images), shape.num_frames, partial(_encode, pipe, tiles))}
    if pipe.dit.require_clip_embedding:
        inputs["clip_feature"] = _clip_feature(pipe, images, shape)
    return inputs


def _clip_feature(pipe: Pipe, images: Images, shape: ClipShape) -> Float[Tensor, "1 n 1280"]:
    """CLIP features of the first keyframe, and of the last where the transformer has a place for two.

    Without a keyframe they are zero, as the vendor has it: left out, text tokens would be read as image tokens.
    """
    count = 2 if pipe.dit.has_image_pos_emb else 1
    if not images:
        return torch.zeros(1, count * _CLIP_TOKENS, _CLIP_WIDTH, dtype=pipe.torch_dtype, device=pipe.device)
    if len(images) < count:
        raise ModelError(
            f"A first-and-last-frame model reads two images; got one, at frame {next(iter(images))}. "
            f"Add a keyframe (frame {shape.num_frames - 1} is the last), or use an image-to-video checkpoint."
        )
    if pipe.image_encoder is None:
        raise ModelError("This model reads CLIP features and no image encoder is loaded. Load the checkpoint with it.")
    pipe.load_models_to_device(["image_encoder"])
    ends = (min(images), max(images))[:count]
    # Through the vendor's own way to a tensor: its order in memory decides which of the GPU's kernels run after it.
    pictures = [pipe.preprocess_image(Image.fromarray(images[index])).to(pipe.device) for index in ends]
    features = [pipe.image_encoder.encode_image([picture]) for picture in pictures]
    return torch.cat(features, dim=1).to(dtype=pipe.torch_dtype, device=pipe.device)


def _vace_inputs(pipe: Pipe, images: Images, shape: ClipShape, tiles: Mapping[str, Any]) -> Inputs:
    if not images:
        return {}
    frames, masks = vace_clip(images, shape)
    size = {"height": shape.height, "width": shape.width, "num_frames": shape.num_frames}
    given = {"vace_video": frames, "vace_video_mask": masks, "vace_reference_image": None, "vace_scale": 1.0}
    return vendor.WanVideoUnit_VACE().process(pipe, **given, **size, **tiles)


def _first_latent_inputs(pipe: Pipe, images: Images, shape: ClipShape, tiles: Mapping[str, Any]) -> Inputs:
    if not images:
        return {}
    later = [index for index in images if index != 0]
    if later:
        raise ModelError(
            f"This model takes one image, as its clean first latent; got one at frame {later[0]}. "
            "Use conditioning tokens for keyframes after frame 0."
        )
    size = {"height": shape.height, "width": shape.width}
    rows, columns = (side // pipe.vae.upsampling_factor for side in size.values())
    scratch = torch.zeros(1, pipe.vae.z_dim, 1, rows, columns, dtype=pipe.torch_dtype, device=pipe.device)
    picture = Image.fromarray(images[0])
    made = vendor.WanVideoUnit_ImageEmbedderFused().process(pipe, input_image=picture, latents=scratch, **size, **tiles)
    first = made["first_frame_latents"].to(dtype=pipe.torch_dtype, device=pipe.device)
    return {"first_frame_latents": first, "fuse_vae_embedding_in_latents": True}


_ROUTES: Mapping[ImageRoute, Callable[..., Inputs]] = {
    "i2v": _i2v_inputs,
    "vace": _vace_inputs,
    "first-latent": _first_latent_inputs,
}
