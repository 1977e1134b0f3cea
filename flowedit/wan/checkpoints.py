"""The Wan checkpoints that flowedit knows, one entry each: where the files are, what they take, how they are used.

Nothing here is loaded or downloaded, and no vendor is imported. `hash` is diffsynth's own fingerprint of a file's
tensor names and shapes; `weights` counts them, so that sizes in memory follow without the file. How many bytes a
repository's files take is asked of the repository when they are fetched.
"""

from dataclasses import dataclass
from typing import Literal

from flowedit.errors import ModelError

Family = Literal["t2v", "i2v", "flf2v", "i2v-a14b", "vace", "ti2v", "bernini"]
ImageRoute = Literal["i2v", "vace", "first-latent", "segments"]
Role = Literal["dit", "dit2", "text", "vae", "image"]

CONVERTED = "DiffSynth-Studio/Wan-Series-Converted-Safetensors"
"""ModelScope repository of the shared parts as safetensors; it does not exist on Hugging Face."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One model of a checkpoint: a file, or the shards of one.

    Attributes:
        role: its place in the pipeline; `dit2` is the low-noise expert.
        huggingface, modelscope: repository and file pattern on each hub.
        hash: diffsynth's fingerprint of the tensor names and shapes, before any conversion.
        weights: number of weights that are loaded.
    """

    role: Role
    huggingface: tuple[str, str]
    modelscope: tuple[str, str]
    hash: str
    weights: int


@dataclass(frozen=True, kw_only=True)
class Width:
    """Sizes of a transformer: what its speed and memory follow from."""

    dim: int
    ffn: int
    heads: int
    layers: int
    vace_layers: int = 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What there is to know about a checkpoint before its files are there.

    Attributes:
        name: official name, also accepted by `flowedit models fetch`.
        family: its kind, as its authors tell them apart.
        parts: the files, transformer first.
        width: sizes of (each) transformer.
        image_route: how images at pixel frames condition it; None for a text-only model. Joint tokens work on all.
        size_multiple: what height and width must divide by.
        height, width_px, num_frames, fps: of the clips that it was trained on, in pixels.
        steps, shift, guidance: the authors' sampling defaults.
        boundary: sigma below which the second expert takes over; None for one transformer.
        note: one sentence that a user should read.
    """

    name: str
    family: Family
    parts: tuple[Part, ...]
    width: Width
    image_route: ImageRoute | None
    latent_channels: int = 16
    size_multiple: int = 16
    height: int = 480
    width_px: int = 832
    num_frames: int = 81
    fps: int = 16
    steps: int = 50
    shift: float = 5.0
    guidance: float = 5.0
    boundary: float | None = None
    licence: str = "Apache-2.0"
    note: str = ""

    @property
    def routes(self) -> tuple[str, ...]:
        """The ways in which keyframes can condition it."""
        return ("tokens", self.image_route) if self.image_route else ("tokens",)

    def part(self, role: Role) -> Part:
        """The part with this role; a transformer, a text encoder and a VAE are in every checkpoint."""
        return next(part for part in self.parts if part.role == role)


_BASE, _CLIP_HOME, _TI2V = "Wan-AI/Wan2.1-T2V-1.3B", "Wan-AI/Wan2.1-I2V-14B-480P", "Wan-AI/Wan2.2-TI2V-5B"
TOKENIZER = (_BASE, "google/umt5-xxl/")
"""Repository and folder of the tokenizer, the same on both hubs and for every checkpoint."""


def _shared(role: Role, home: str, stem: str, fingerprint: str, weights: int) -> Part:
    """Describe a part that all checkpoints share: the original on Hugging Face, the safetensors copy on ModelScope."""
    original, copy = (home, f"{stem}.pth"), (CONVERTED, f"{stem}.safetensors")
    return Part(role=role, huggingface=original, modelscope=copy, hash=fingerprint, weights=weights)


TEXT = _shared("text", _BASE, "models_t5_umt5-xxl-enc-bf16", "9c8818c2cbea55eca56c7b447df170da", 5_680_910_336)
VAE = _shared("vae", _BASE, "Wan2.1_VAE", "ccc42284ea13e1ad04693284c7a09be6", 126_892_531)
VAE_22 = _shared("vae", _TI2V, "Wan2.2_VAE", "e1de6c02cdac79f8b739f4d3698cd216", 704_688_668)
CLIP = _shared(
    "image", _CLIP_HOME, "models_clip_open-clip-xlm-roberta-large-vit-huge-14", "5941c53e207d62f20f9025686193c40b",
    632_076_801,
)  # fmt: skip

W1_3B = Width(dim=1536, ffn=8960, heads=12, layers=30)
W5B = Width(dim=3072, ffn=14336, heads=24, layers=30)
W14B = Width(dim=5120, ffn=13824, heads=40, layers=40)


def _dit(repo: str, fingerprint: str, weights: int, *, role: Role = "dit", under: str = "") -> Part:
    """Describe a transformer; its repository has the same name on both hubs but for the Fun series."""
    pattern = f"{under}diffusion_pytorch_model*.safetensors"
    hubs = {"huggingface": (repo, pattern), "modelscope": (repo.replace("alibaba-pai/", "PAI/"), pattern)}
    return Part(role=role, **hubs, hash=fingerprint, weights=weights)


_T2V_1_3B = _dit("Wan-AI/Wan2.1-T2V-1.3B", "9269f8db9040a9d860eaca435be61814", 1_418_996_800)
_FUN_1_3B = _dit("alibaba-pai/Wan2.1-Fun-1.3B-InP", "6d6ccde6845b95ad9114ab993d917893", 1_564_428_608)
_VACE_1_3B = _dit("Wan-AI/Wan2.1-VACE-1.3B", "a61453409b67cd3246cf0c3bebad47ba", 2_153_972_032)
_BERNINI = _dit(
    "ByteDance/Bernini-R-1.3B-Diffusers", "b0a133b5687c7d054175e5bfa66ef5fd", 1_418_996_800, under="transformer/"
)
_T2V_14B = _dit("Wan-AI/Wan2.1-T2V-14B", "aafcfd9672c3a2456dc46e1cb6e52c70", 14_288_491_584)
_I2V_480P = _dit("Wan-AI/Wan2.1-I2V-14B-480P", "6bfcfb3b342cb286ce886889d519a77e", 16_394_878_784)
_I2V_720P = _dit("Wan-AI/Wan2.1-I2V-14B-720P", "6bfcfb3b342cb286ce886889d519a77e", 16_394_878_784)
_FLF2V = _dit("Wan-AI/Wan2.1-FLF2V-14B-720P", "3ef3b1f8e1dab83d5b71fd7b617f859f", 16_395_536_704)
_VACE_14B = _dit("Wan-AI/Wan2.1-VACE-14B", "7a513e1f257a861512b1afd387a8ecd9", 17_337_592_896)
_TI2V_5B = _dit(_TI2V, "1f5ab7703c6fc803fdded85ff040c316", 4_999_787_712)
_A14B = "Wan-AI/Wan2.2-I2V-A14B", "5b013604280dd715f8457c6ed6d6a626", 14_288_901_184
_A14B_HIGH = _dit(*_A14B, under="high_noise_model/")
_A14B_LOW = _dit(*_A14B, role="dit2", under="low_noise_model/")

CHECKPOINTS: dict[str, Checkpoint] = {
    entry.name: entry
    for entry in (
        Checkpoint(
            name="Wan2.1-T2V-1.3B", family="t2v", parts=(_T2V_1_3B, TEXT, VAE), width=W1_3B, image_route=None,
            shift=8.0, guidance=6.0, note="Text only: keyframes reach it as joint tokens, which it was not trained on.",
        ),
        Checkpoint(
            name="Wan2.1-Fun-1.3B-InP", family="i2v", parts=(_FUN_1_3B, TEXT, VAE, CLIP), width=W1_3B,
            image_route="i2v", note="By alibaba-pai, not by the Wan team: there is no official 1.3B image-to-video.",
        ),
        Checkpoint(
            name="Wan2.1-VACE-1.3B", family="vace", parts=(_VACE_1_3B, TEXT, VAE), image_route="vace", shift=16.0,
            width=Width(dim=1536, ffn=8960, heads=12, layers=30, vace_layers=15),
            note="Keyframes become a grey clip and a mask, its own way of keeping frames.",
        ),
        Checkpoint(
            name="Bernini-R-1.3B", family="bernini", parts=(_BERNINI, TEXT, VAE), width=W1_3B, image_route="segments",
            width_px=848, steps=40, shift=3.0, guidance=4.0,
            note="By ByteDance, from Wan2.1-T2V-1.3B: trained to see source and keyframes as tokens of their own.",
        ),
        Checkpoint(
            name="Wan2.1-T2V-14B", family="t2v", parts=(_T2V_14B, TEXT, VAE), width=W14B, image_route=None,
            note="Text only: keyframes reach it as joint tokens, which it was not trained on.",
        ),
        Checkpoint(
            name="Wan2.1-I2V-14B-480P", family="i2v", parts=(_I2V_480P, TEXT, VAE, CLIP), width=W14B,
            image_route="i2v", steps=40, shift=3.0, note="The official image-to-video model for 480p.",
        ),
        Checkpoint(
            name="Wan2.1-I2V-14B-720P", family="i2v", parts=(_I2V_720P, TEXT, VAE, CLIP), width=W14B,
            image_route="i2v", steps=40, height=720, width_px=1280,
            note="The official image-to-video model for 720p; its files look like the 480p model's.",
        ),
        Checkpoint(
            name="Wan2.1-FLF2V-14B-720P", family="flf2v", parts=(_FLF2V, TEXT, VAE, CLIP), width=W14B,
            image_route="i2v", shift=16.0, height=720, width_px=1280,
            note="First and last frame to video: needs at least two keyframes; its authors advise Chinese prompts.",
        ),
        Checkpoint(
            name="Wan2.1-VACE-14B", family="vace", parts=(_VACE_14B, TEXT, VAE), image_route="vace", shift=16.0,
            width=Width(dim=5120, ffn=13824, heads=40, layers=40, vace_layers=8),
            note="Keyframes become a grey clip and a mask, its own way of keeping frames.",
        ),
        Checkpoint(
            name="Wan2.2-TI2V-5B", family="ti2v", parts=(_TI2V_5B, TEXT, VAE_22), width=W5B, latent_channels=48,
            image_route="first-latent", size_multiple=32, height=704, width_px=1280, num_frames=121, fps=24,
            note="Takes one image, at frame 0; further keyframes reach it as joint tokens.",
        ),
        Checkpoint(
            name="Wan2.2-I2V-A14B", family="i2v-a14b", parts=(_A14B_HIGH, _A14B_LOW, TEXT, VAE), width=W14B,
            image_route="i2v", steps=40, guidance=3.5, boundary=0.9,
            note="Two experts of 14B each: one above sigma 0.9, one below.",
        ),
    )
}  # fmt: skip

ALIASES = {"1.3B": "Wan2.1-Fun-1.3B-InP", "14B": "Wan2.1-I2V-14B-480P"}
"""Sizes as people say them; both choices take keyframes by the same route."""
TINY = "tiny"
"""The small model that comes with the package; it has no entry here, because nothing is fetched for it."""


def resolve(name: str) -> Checkpoint:
    """The entry of a name or an alias."""
    official = ALIASES.get(name, name)
    if official not in CHECKPOINTS:
        known = ", ".join([TINY, *ALIASES, *CHECKPOINTS])
        raise ModelError(f"There is no checkpoint {name!r}. Use a folder, a file, or one of {known}.")
    return CHECKPOINTS[official]
