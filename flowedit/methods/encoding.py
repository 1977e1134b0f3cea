"""The three ways in which a keyframe becomes a clean latent.

A slot after the first stands for four frames, so a lone picture is not what the autoencoder expects there. Each
keyframe is encoded by itself: encoding several distant ones as one clip would claim that they are consecutive.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from flowedit.errors import SettingError
from flowedit.frames import GROUP, Image, Video
from flowedit.keyframes import Keyframe
from flowedit.model import KeyLatent, Latent, VideoModel, to_pixels

OneSlot = Float[Tensor, "b c 1 h w"]
Encoder = Callable[[VideoModel, Keyframe, Image, Latent], OneSlot]
"""(model, styled keyframe, the source's own frame, the source's latents) -> clean latent of the keyframe's slot."""


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
    """The source's own latent plus the change of style, so that the motion inside the group stays."""
    slot = keyframe.slot
    # Added last: an unstyled keyframe is the source's latent to the last bit.
    change = encode_hold(model, keyframe, own, source) - encode_hold(model, Keyframe(keyframe.index, own), own, source)
    return source[:, :, slot : slot + 1] + change


ENCODINGS: Mapping[str, Encoder] = {"still": encode_still, "hold": encode_hold, "delta": encode_delta}


def encode_keyframes(
    model: VideoModel, keyframes: Sequence[Keyframe], frames: Video, source: Latent, encoding: str
) -> KeyLatent:
    """Clean latents of the keyframes' slots, one after the other: (b, c, number of keyframes, h, w).

    Args:
        model: the video model.
        keyframes: styled keyframes, in order.
        frames: the source clip.
        source: its latents.
        encoding: `still`, `hold` or `delta`.
    """
    if encoding not in ENCODINGS:
        raise SettingError(f"keyframe encoding is {encoding!r}; use one of {', '.join(ENCODINGS)}.")
    encode = ENCODINGS[encoding]
    latents = [encode(model, keyframe, frames[keyframe.index], source) for keyframe in keyframes]
    return torch.cat(latents, dim=2) if latents else source[:, :, :0]
