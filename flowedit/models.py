"""`load_model`: the small model that ships with the package, or a Wan checkpoint, behind one name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flowedit.errors import SettingError
from flowedit.settings import CLASSICAL

if TYPE_CHECKING:
    import torch

    from flowedit.model import ClipShape
    from flowedit.wan.adapter import WanVideo
    from flowedit.wan.lora import CheckedLora, Lora
    from flowedit.wan.placement import Level, Placement

TINY = "tiny"
"""Name of the model that ships with the package."""
DTYPES = ("float32", "bfloat16", "float16")


def load_model(  # noqa: PLR0913 - what a call of it says is more than a settings object would
    name: str | Path = TINY,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shape: "ClipShape | None" = None,
    level: "Level | Literal['auto'] | Placement" = "auto",
    prompts: Sequence[str] = (),
    loras: "Sequence[Lora | str | Path]" = (),
) -> "WanVideo":
    """Load a video model by name.

    Args:
        name: `tiny`; `1.3B` or `14B`; a checkpoint's name as `flowedit models list` gives it; a folder or a file.
        device: where it runs, such as `cpu` or `cuda`; None takes the GPU where there is one.
        dtype: `float32`, `bfloat16` or `float16`; None takes what suits the model and the device.
        shape: the clip that it will edit, by which a checkpoint's place in memory is chosen; None means its own size.
        level: where a checkpoint's weights rest between uses: `resident`, `offload`, `fp8`, `disk` or `cpu`; `auto`
            takes the fastest that fits; or one of `placements`. Read only where `device` is None.
        prompts: what the run will say. A checkpoint's text encoder then runs first, alone, and is let go before the
            transformer is loaded; what it said before is read from the user's cache.
        loras: what is added to the transformer, in this order; a string as the command line takes it, such as
            `turbo.safetensors:0.8`.

    Returns:
        The model, ready for `flowedit.edit_video`.

    Raises:
        ModelError: no such checkpoint, or its files are missing, broken, or too large for this machine, or a LoRA
            that does not fit it.
        SettingError: a dtype that does not exist.

    Example:
        >>> model = load_model("tiny")  # doctest: +SKIP
    """
    if dtype is not None and dtype not in DTYPES:
        raise SettingError(f"dtype is {dtype!r}; use one of {', '.join(DTYPES)}.")
    # Before the text encoder runs, which takes minutes where it is streamed from the disk.
    added = [each.lora for each in check_loras(name, loras)]
    if str(name) == TINY:
        return _load_tiny(device, dtype, added)
    fit = None
    if device is None:
        fit = placements(name, shape=shape, level=level, loras=added)[0] if isinstance(level, str) else level
    return _load_checkpoint(name, fit, device or "cpu", dtype, prompts, added)


def check_loras(
    name: str | Path, loras: "Sequence[Lora | str | Path]", method: str | None = None
) -> "list[CheckedLora]":
    """Check that LoRAs fit a model; of their files only the headers are read, of the model's nothing.

    Args:
        name: as for `load_model`.
        loras: likewise.
        method: what the edit will run, if that is known.

    Returns:
        Each LoRA with what it reaches.

    Raises:
        ModelError: no such checkpoint, or a LoRA's file that is missing, broken, or made for another model.
        SettingError: a strength that is no finite number, or a method that runs no transformer.
    """
    if not loras:
        return []
    if method in CLASSICAL:
        raise SettingError(
            f"method is {method!r}, which runs no transformer that a LoRA could change. Leave out --lora."
        )
    from flowedit.wan import lora as reading

    asked = [reading.as_lora(each) for each in loras]
    if str(name) != TINY:
        from flowedit.wan.loading import checkpoint_of

        return reading.check_loras(asked, checkpoint_of(name))
    from flowedit.tiny.config import SHIPPED
    from flowedit.tiny.model import build_dit
    from flowedit.tiny.skeleton import Skeleton

    with Skeleton():
        layers = reading.linear_layers(build_dit(SHIPPED))
    return [reading.check_lora(each, layers, TINY) for each in asked]


def placements(
    name: str | Path,
    *,
    shape: "ClipShape | None" = None,
    level: str = "auto",
    keyframes: int = 0,
    loras: "Sequence[Lora]" = (),
) -> "list[Placement]":
    """Ways to place a checkpoint on this machine that are worth trying, the fastest first; none for `tiny`.

    Args:
        name: as for `load_model`.
        shape: the clip; None means the checkpoint's own size.
        level: `auto` for the fastest that fits and the one below it, else the only one to try.
        keyframes: joint keyframes of the clip.
        loras: what is added to the transformer; room for their files is left beside it.

    Raises:
        ModelError: no such checkpoint, its files are missing, or nothing fits.
        SettingError: a level that does not exist, or any for the small model.
    """
    from typing import get_args

    from flowedit.model import ClipShape
    from flowedit.wan.loading import locate
    from flowedit.wan.memory import measure_resources
    from flowedit.wan.placement import Level
    from flowedit.wan.placement import placements as placements_of

    levels = ("auto", *get_args(Level))
    if level not in levels:
        raise SettingError(f"placement is {level!r}; use one of {', '.join(levels)}.")
    if str(name) == TINY:
        if level != "auto":
            raise SettingError(f"placement is {level!r} and the model is {TINY}, which fits everywhere. Leave it out.")
        return []
    # Files are checked before memory is looked at, so that a missing checkpoint is named first.
    checkpoint = locate(name).checkpoint
    own = ClipShape(num_frames=checkpoint.num_frames, height=checkpoint.height, width=checkpoint.width_px)
    chosen: Any = level
    resources = measure_resources()
    beside = sum(lora.path.stat().st_size for lora in loras)
    free = {name: getattr(resources, name) - beside for name in ("gpu_free", "host_free")}
    return placements_of(checkpoint, shape or own, replace(resources, **free), keyframes=keyframes, level=chosen)


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


def _load_tiny(device: str | None, dtype: str | None, loras: "Sequence[Lora]") -> "WanVideo":
    import torch

    from flowedit.tiny.load import build_pipeline
    from flowedit.tiny.lora import joint_source
    from flowedit.wan.adapter import Trained, WanVideo
    from flowedit.wan.lora import load_loras

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    pipe = build_pipeline(place, _dtype(dtype or "float32"))
    load_loras(pipe, loras)
    model = WanVideo(pipe, name=TINY, trained=Trained(refines=True, joint=joint_source(pipe)))
    model.loras = tuple(loras)
    return model


def _load_checkpoint(
    name: str | Path,
    fit: "Placement | None",
    device: str,
    dtype: str | None,
    prompts: Sequence[str],
    loras: "Sequence[Lora]",
) -> "WanVideo":
    from flowedit.wan.adapter import Trained, WanVideo
    from flowedit.wan.encodings import EncodingCache, encode_prompts, remember_encodings
    from flowedit.wan.loading import load_pipeline, locate

    place = fit.device if fit else device
    kind = dtype or (fit.dtype_name if fit else "bfloat16")
    more: dict[str, Any] = {}
    if prompts:
        contexts = dict(zip(prompts, encode_prompts(name, prompts, placement=fit, device=place), strict=True))

        def words(prompt: str) -> "torch.Tensor":
            if prompt not in contexts:
                contexts[prompt] = encode_prompts(name, [prompt], placement=fit, device=place)[0]
            return contexts[prompt]

        more["words"] = words
    roles: Any = ("dit", "vae", "image") if prompts else None
    loaded = load_pipeline(name, placement=fit, device=place, dtype=_dtype(kind), roles=roles, loras=loras)
    vae = locate(name).files.get("vae")
    if vae is not None:
        remember_encodings(loaded.pipe.vae, EncodingCache(), *vae.paths)
    if loaded.checkpoint.boundary is not None:
        more["trained"] = Trained(boundary=loaded.checkpoint.boundary)
    model = WanVideo(loaded.pipe, name=loaded.checkpoint.name, tiling={} if fit and fit.tiled else None, **more)
    model.loras = tuple(loras)
    return model


def _dtype(name: str) -> "torch.dtype":
    import torch

    return getattr(torch, name)
