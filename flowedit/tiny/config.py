"""Sizes and files of the small Wan: frozen settings from which every part is built."""

from dataclasses import dataclass, field
from pathlib import Path

SPATIAL = 8
"""Pixels per latent, along height and along width."""
TEXT_LENGTH = 32
"""Tokens in a prompt, padding included."""
WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the shipped weights."""
VAE_FILE, DIT_FILE = "tiny_vae.safetensors", "tiny_dit.safetensors"
"""Weight files: the autoencoder; the transformer with its text encoder."""


@dataclass(frozen=True)
class VaeSize:
    """Size of the video autoencoder; the names are diffsynth's.

    Attributes:
        dim: channels at full resolution.
        dim_mult: channels at each halving, in units of ``dim``; three halvings.
        num_res_blocks: residual blocks per resolution in the encoder (one more in the decoder).
        z_dim: latent channels.
    """

    dim: int = 32
    dim_mult: tuple[int, ...] = (1, 2, 3, 4)
    num_res_blocks: int = 1
    z_dim: int = 32


@dataclass(frozen=True)
class DitSize:
    """Size of the transformer; the names are diffsynth's.

    Attributes:
        dim: width. ``dim / num_heads // 3`` must be even, or the rotary tables do not fit.
        ffn_dim: width of the feed-forward layers.
        num_heads: attention heads.
        num_layers: blocks.
        text_dim: width of the text encoder's output.
        freq_dim: width of the sinusoidal embedding of the timestep.
    """

    dim: int = 384
    ffn_dim: int = 1536
    num_heads: int = 8
    num_layers: int = 8
    text_dim: int = 128
    freq_dim: int = 256


@dataclass(frozen=True)
class TextSize:
    """Size of the text encoder.

    Attributes:
        num_layers: transformer layers.
        num_heads: attention heads.
    """

    num_layers: int = 2
    num_heads: int = 4


@dataclass(frozen=True)
class TinySize:
    """Size of the whole model: autoencoder, transformer, text encoder."""

    vae: VaeSize = field(default_factory=VaeSize)
    dit: DitSize = field(default_factory=DitSize)
    text: TextSize = field(default_factory=TextSize)


SHIPPED = TinySize()
"""The size of the weights in the package."""
SMOKE = TinySize(
    VaeSize(dim=8, dim_mult=(1, 1, 2, 2), num_res_blocks=1, z_dim=4),
    DitSize(dim=96, ffn_dim=128, num_heads=2, num_layers=2, text_dim=16, freq_dim=32),
    TextSize(num_layers=1, num_heads=2),
)
"""The same architecture, small enough for a test of a second."""
