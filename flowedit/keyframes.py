"""Keyframes: images at pixel frames of a clip, and the three ways in which one becomes a clean latent.

A slot after the first stands for four frames, so a lone picture is not what the autoencoder expects there. Each
keyframe is encoded by itself: encoding several distant ones as one clip would claim that they are consecutive.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor

from flowedit.display import Displayed, picture_tag
from flowedit.errors import KeyframeError, SettingError, VideoShapeError
from flowedit.frames import GROUP, slot_of, slots_of
from flowedit.model import ClipShape, KeyLatent, Latent, VideoModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = UInt8[np.ndarray, "H W 3"]
Video = UInt8[np.ndarray, "F H W 3"]
OneSlot = Float[Tensor, "b c 1 h w"]
Encoder = Callable[[VideoModel, "Keyframe", Image, Latent], OneSlot]
"""(model, styled keyframe, the source's own frame, the source's latents) -> clean latent of the keyframe's slot."""


@dataclass(frozen=True, eq=False)
class Keyframe(Displayed):
    """A styled image at a pixel frame of the clip; a notebook shows it.

    Attributes:
        index: pixel frame, from 0.
        image: the styled picture, uint8 (H, W, 3).

    Raises:
        KeyframeError: the index is not a whole number.
    """

    index: int
    image: np.ndarray

    def __post_init__(self) -> None:
        """Refuse an index that is not a whole number; NumPy's become Python's, which JSON can write."""
        if not isinstance(self.index, Integral):
            raise KeyframeError(f"Keyframe index {self.index!r} is not a whole number; give a pixel frame.")
        object.__setattr__(self, "index", int(self.index))

    @property
    def slot(self) -> int:
        """The latent slot it lies in."""
        return slot_of(self.index)

    def plot(self) -> "Figure":
        """The image under its frame and slot, as a matplotlib figure."""
        from flowedit.figures import picture_figure

        return picture_figure(self.image, f"keyframe at frame {self.index}, slot {self.slot}")

    def _words(self) -> str:
        height, width = self.image.shape[:2]
        return f"Keyframe at frame {self.index}, slot {self.slot}, {height}x{width}"

    def _body(self) -> str:
        return f'<figure style="margin:0">{picture_tag(self.image, self._words())}</figure>'


def check_keyframes(keyframes: Sequence[Keyframe], shape: ClipShape) -> tuple[int, ...]:
    """The slots of keyframes that fit a clip.

    Raises:
        KeyframeError: an index outside the clip, out of order or in a slot already taken; an image that is not uint8
            RGB, or of another size.
    """
    for keyframe in keyframes:
        if not _is_rgb(keyframe.image):
            raise KeyframeError(
                f"Keyframe {keyframe.index} is {_kind(keyframe.image)}; an image is uint8 (H, W, 3). "
                "Read it with flowedit.images.read_image."
            )
    slots = slots_of([keyframe.index for keyframe in keyframes], shape.num_frames)
    for keyframe in keyframes:
        height, width = keyframe.image.shape[:2]
        if (height, width) != (shape.height, shape.width):
            raise KeyframeError(
                f"Keyframe {keyframe.index} is {height}x{width} and the clip {shape.height}x{shape.width}; "
                "resize the keyframe to the clip's size."
            )
    return slots


def check_frames(frames: np.ndarray) -> None:
    """Refuse what is not a clip of RGB frames.

    Raises:
        VideoShapeError: not an array, not uint8, or not (F, H, W, 3).
    """
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise VideoShapeError(
            f"The clip is {_kind(frames)}; it must be uint8 (F, H, W, 3), 0 to 255. Read it with flowedit.read_video."
        )


def _is_rgb(image: np.ndarray) -> bool:
    return isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def _kind(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def to_pixels(frames: Video, device: torch.device | str = "cpu") -> Float[Tensor, "1 3 F H W"]:
    """Frames as a model takes them: float32 in [-1, 1]."""
    video = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    return video.permute(3, 0, 1, 2).unsqueeze(0).float() * (2 / 255) - 1


def to_frames(pixels: Float[Tensor, "1 3 F H W"]) -> Video:
    """Pixels in [-1, 1] as uint8 frames, rounded to the nearest value."""
    video = ((pixels[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return video.permute(1, 2, 3, 0).cpu().numpy()


def encode_still(model: VideoModel, keyframe: Keyframe, own: Image, source: Latent) -> OneSlot:
    """The keyframe alone, as a video of one frame: right for slot 0, the wrong distribution for any other slot."""
    del own
    return model.encode(to_pixels(keyframe.image[None], source.device)).to(source.dtype)


def encode_hold(model: VideoModel, keyframe: Keyframe, own: Image, source: Latent) -> OneSlot:
    """The keyframe held still for its whole group and one frame before it; the group's latent is taken."""
    if keyframe.slot == 0:
        return encode_still(model, keyframe, own, source)
    held = repeat(keyframe.image, "H W c -> F H W c", F=1 + GROUP)
    return model.encode(to_pixels(held, source.device))[:, :, 1:].to(source.dtype)


def encode_delta(model: VideoModel, keyframe: Keyframe, own: Image, source: Latent) -> OneSlot:
    """The source's own latent plus the change of style, so that the motion inside the group stays.

    The change is written as `hold(styled) - hold(source)` added last, so that an unstyled keyframe is the source's
    latent to the last bit.
    """
    slot = keyframe.slot
    change = encode_hold(model, keyframe, own, source) - encode_hold(model, Keyframe(keyframe.index, own), own, source)
    return source[:, :, slot : slot + 1] + change


ENCODINGS: Mapping[str, Encoder] = {"still": encode_still, "hold": encode_hold, "delta": encode_delta}


def encode_keyframes(
    model: VideoModel, keyframes: Sequence[Keyframe], frames: Video, source: Latent, encoding: str
) -> KeyLatent:
    """Clean latents of the keyframes' slots, one after the other.

    Args:
        model: the video model.
        keyframes: styled keyframes, in order.
        frames: the source clip, uint8 (F, H, W, 3).
        source: the source clip's latents, (b, c, f, h, w).
        encoding: `still`, `hold` or `delta`.

    Returns:
        (b, c, number of keyframes, h, w).

    Raises:
        SettingError: an encoding that does not exist.
    """
    if encoding not in ENCODINGS:
        raise SettingError(f"keyframe encoding is {encoding!r}; use one of {', '.join(ENCODINGS)}.")
    encode = ENCODINGS[encoding]
    latents = [encode(model, keyframe, frames[keyframe.index], source) for keyframe in keyframes]
    return torch.cat(latents, dim=2) if latents else source[:, :, :0]
