"""`load_model`: the small model that ships with the package, or a Wan checkpoint, behind one name."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flowedit.errors import SettingError

if TYPE_CHECKING:
    import torch

    from flowedit.model import ClipShape
    from flowedit.wan.adapter import WanVideo
    from flowedit.wan.fit import Fit, Level

TINY = "tiny"
"""Name of the model that ships with the package."""
DTYPES = ("float32", "bfloat16", "float16")


def load_model(
    name: str | Path = TINY,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shape: "ClipShape | None" = None,
    level: "Level | Literal['auto'] | Fit" = "auto",
    prompts: Sequence[str] = (),
) -> "WanVideo":
    """Load a video model by name.

    Args:
        name: `tiny`; `1.3B` or `14B`; a checkpoint's name as `flowedit models list` gives it; a folder or a file.
        device: where it runs, such as `cpu` or `cuda`; None takes the GPU where there is one.
        dtype: `float32`, `bfloat16` or `float16`; None takes what suits the model and the device.
        shape: the clip that it will edit, by which a checkpoint's place in memory is chosen; None means its own size.
        level: where a checkpoint's weights rest between uses: `resident`, `offload`, `fp8`, `disk` or `cpu`; `auto`
            takes the fastest that fits; or one of `fits_for`. Read only where `device` is None.
        prompts: what the run will say. A checkpoint's text encoder then runs first, alone, and is let go before the
            transformer is loaded; what it said before is read from the user's cache.

    Returns:
        The model, ready for `flowedit.edit_video`.

    Raises:
        ModelError: no such checkpoint, or its files are missing, broken, or too large for this machine.
        SettingError: a dtype that does not exist.

    Example:
        >>> model = load_model("tiny")  # doctest: +SKIP
    """
    if dtype is not None and dtype not in DTYPES:
        raise SettingError(f"dtype is {dtype!r}; use one of {', '.join(DTYPES)}.")
    if str(name) == TINY:
        return _load_tiny(device, dtype)
    fit = None
    if device is None:
        fit = fits_for(name, shape=shape, level=level)[0] if isinstance(level, str) else level
    return _load_checkpoint(name, fit, device or "cpu", dtype, prompts)


def fits_for(
    name: str | Path, *, shape: "ClipShape | None" = None, level: str = "auto", keyframes: int = 0
) -> "list[Fit]":
    """Ways to place a checkpoint on this machine that are worth trying, the fastest first; none for `tiny`.

    Args:
        name: as for `load_model`.
        shape: the clip; None means the checkpoint's own size.
        level: `auto` for the fastest that fits and the one below it, else the only one to try.
        keyframes: joint keyframes of the clip.

    Raises:
        ModelError: no such checkpoint, its files are missing, or nothing fits.
        SettingError: a level that does not exist, or any for the small model.
    """
    from typing import get_args

    from flowedit.model import ClipShape
    from flowedit.wan.fit import Level, choose_fits
    from flowedit.wan.loading import locate
    from flowedit.wan.resources import measure_resources

    levels = ("auto", *get_args(Level))
    if level not in levels:
        raise SettingError(f"fit is {level!r}; use one of {', '.join(levels)}.")
    if str(name) == TINY:
        if level != "auto":
            raise SettingError(f"fit is {level!r} and the model is {TINY}, which fits everywhere. Leave it out.")
        return []
    # Files are checked before memory is looked at, so that a missing checkpoint is named first.
    checkpoint = locate(name).checkpoint
    own = ClipShape(num_frames=checkpoint.num_frames, height=checkpoint.height, width=checkpoint.width_px)
    chosen: Any = level
    return choose_fits(checkpoint, shape or own, measure_resources(), keyframes=keyframes, level=chosen)


def checkpoint_files(name: str | Path = TINY) -> list[Path]:
    """The weight files that `load_model` reads for a name: what a manifest keeps the hashes of.

    Raises:
        ModelError: no such checkpoint, or its files are missing.
    """
    if str(name) == TINY:
        from flowedit.tiny.load import DIT_FILE, VAE_FILE, WEIGHTS
        from flowedit.tiny.lora import LORA_FILE

        lora = WEIGHTS / LORA_FILE
        return [WEIGHTS / VAE_FILE, WEIGHTS / DIT_FILE, *([lora] if lora.is_file() else [])]
    from flowedit.wan.loading import locate

    return [path for file in locate(name).files.values() for path in file.paths]


def _load_tiny(device: str | None, dtype: str | None) -> "WanVideo":
    import torch

    from flowedit.tiny.load import build_pipeline
    from flowedit.tiny.lora import joint_source
    from flowedit.wan.adapter import Trained, WanVideo

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    pipe = build_pipeline(place, _dtype(dtype or "float32"))
    return WanVideo(pipe, name=TINY, trained=Trained(repairs=True, joint=joint_source(pipe)))


def _load_checkpoint(
    name: str | Path, fit: "Fit | None", device: str, dtype: str | None, prompts: Sequence[str]
) -> "WanVideo":
    from flowedit.wan.adapter import Trained, WanVideo
    from flowedit.wan.cache import EncodingCache, remember_encodings
    from flowedit.wan.loading import load_pipeline, locate
    from flowedit.wan.text import encode_prompts

    place = fit.device if fit else device
    kind = dtype or (fit.dtype_name if fit else "bfloat16")
    more: dict[str, Any] = {}
    if prompts:
        contexts = dict(zip(prompts, encode_prompts(name, prompts, fit=fit, device=place), strict=True))

        def words(prompt: str) -> "torch.Tensor":
            if prompt not in contexts:
                contexts[prompt] = encode_prompts(name, [prompt], fit=fit, device=place)[0]
            return contexts[prompt]

        more["words"] = words
    roles: Any = ("dit", "vae", "image") if prompts else None
    loaded = load_pipeline(name, fit=fit, device=place, dtype=_dtype(kind), roles=roles)
    vae = locate(name).files.get("vae")
    if vae is not None:
        remember_encodings(loaded.pipe.vae, EncodingCache(), *vae.paths)
    if loaded.checkpoint.boundary is not None:
        more["trained"] = Trained(boundary=loaded.checkpoint.boundary)
    return WanVideo(loaded.pipe, name=loaded.checkpoint.name, tiling={} if fit and fit.tiled else None, **more)


def _dtype(name: str) -> "torch.dtype":
    import torch

    return getattr(torch, name)
