"""`load_model`: the small model that ships with the package, or a Wan checkpoint, behind one name."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from flowedit.errors import SettingError
from flowedit.frames import ClipShape
from flowedit.settings import CLASSICAL
from flowedit.wan import loading, lora, memory, placement
from flowedit.wan.checkpoints import TINY
from flowedit.wan.lora import CheckedLora, Lora
from flowedit.wan.placement import Level, Placement

if TYPE_CHECKING:
    from torch import Tensor

    from flowedit.wan.adapter import WanVideo

DTYPES = ("float32", "bfloat16", "float16")


def load_model(  # noqa: PLR0913 - what a call of it says is more than a settings object would
    name: str | Path = TINY,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shape: ClipShape | None = None,
    level: Level | Literal["auto"] | Placement = "auto",
    prompts: Sequence[str] = (),
    loras: Sequence[Lora | str | Path] = (),
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
        model = _load_tiny(device, dtype, added)
    else:
        place = device or level
        if device is None and isinstance(level, str):
            place = placements(name, shape=shape, level=level, loras=added)[0]
        model = _load_checkpoint(name, place, dtype, prompts, added)
    model.loras = tuple(added)
    return model


def check_loras(name: str | Path, loras: Sequence[Lora | str | Path], method: str | None = None) -> list[CheckedLora]:
    """Check that LoRAs fit a model; of their files only the headers are read, of the model's nothing.

    Args:
        name: as for `load_model`.
        loras: likewise.
        method: what the edit will run, if that is known.

    Returns:
        Each LoRA with what it reaches.
    """
    if not loras:
        return []
    if method in CLASSICAL:
        raise SettingError(
            f"method is {method!r}, which runs no transformer that a LoRA could change. Leave out --lora."
        )
    asked = [lora.as_lora(each) for each in loras]
    if str(name) != TINY:
        return lora.check_loras(asked, loading.checkpoint_of(name))
    from flowedit.tiny.load import transformer_layers

    return [lora.check_lora(each, transformer_layers(), TINY) for each in asked]


def placements(
    name: str | Path,
    *,
    shape: ClipShape | None = None,
    level: str = "auto",
    keyframes: int = 0,
    conditioning: str = "tokens",
    loras: Sequence[Lora] = (),
) -> list[Placement]:
    """Ways to place a checkpoint on this machine that are worth trying, the fastest first; none for `tiny`.

    Args:
        name: as for `load_model`.
        shape: the clip; None means the checkpoint's own size.
        level: `auto` for the fastest that fits and the one below it, else the only one to try.
        keyframes: how many the clip has.
        conditioning: how the model sees them, as in `EditSettings`.
        loras: what is added to the transformer; room for their files is left beside it.
    """
    levels = ("auto", *get_args(Level))
    if level not in levels:
        raise SettingError(f"placement is {level!r}; use one of {', '.join(levels)}.")
    if str(name) == TINY:
        if level != "auto":
            raise SettingError(f"placement is {level!r} and the model is {TINY}, which fits everywhere. Leave it out.")
        return []
    # Files are checked before memory is looked at, so that a missing checkpoint is named first.
    checkpoint = loading.locate(name).checkpoint
    resources = memory.measure_resources()
    beside = sum(each.path.stat().st_size for each in loras)
    left = replace(resources, gpu_free=resources.gpu_free - beside, host_free=resources.host_free - beside)
    shape, chosen = shape or placement.own_clip(checkpoint), cast("Level | Literal['auto']", level)
    added = memory.keyframes_in(checkpoint, conditioning, keyframes)
    return placement.placements(checkpoint, shape, left, keyframes=added, level=chosen)


def checkpoint_files(name: str | Path = TINY) -> list[Path]:
    """The weight files that `load_model` reads for a name: what a manifest keeps the hashes of."""
    if str(name) == TINY:
        from flowedit.tiny.config import DIT_FILE, VAE_FILE, WEIGHTS

        return [WEIGHTS / VAE_FILE, WEIGHTS / DIT_FILE]
    return [path for file in loading.locate(name).files.values() for path in file.paths]


def _load_tiny(device: str | None, dtype: str | None, loras: Sequence[Lora]) -> "WanVideo":
    import torch

    from flowedit.tiny.load import build_pipeline
    from flowedit.wan.adapter import Trained, WanVideo

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    pipe = build_pipeline(place, placement.torch_type(dtype or "float32"))
    lora.load_loras(pipe, loras)
    return WanVideo(pipe, name=TINY, trained=Trained(refines=True))


def _load_checkpoint(
    name: str | Path, place: Placement | str, dtype: str | None, prompts: Sequence[str], loras: Sequence[Lora]
) -> "WanVideo":
    """A checkpoint at a placement, or whole on a device."""
    from flowedit.wan.adapter import Trained, WanVideo
    from flowedit.wan.encodings import EncodingCache, remember_encodings
    from flowedit.wan.segments import TASKS

    kind = placement.torch_type(dtype or ("bfloat16" if isinstance(place, str) else place.dtype_name))
    checkpoint = loading.checkpoint_of(name)
    segments = checkpoint.image_route == "segments"
    told = [TASKS[True, references] + prompt for prompt in prompts for references in (True, False) if segments]
    words = _words(name, [*prompts, *told], place) if prompts else None
    roles: Any = ("dit", "vae", "image") if prompts else None
    loaded = loading.load_pipeline(name, place, dtype=kind, roles=roles, loras=loras)
    if (vae := loading.locate(name).files.get("vae")) is not None:
        remember_encodings(loaded.pipe.vae, EncodingCache(), *vae.paths)
    return WanVideo(
        loaded.pipe,
        name=checkpoint.name,
        trained=Trained(boundary=checkpoint.boundary or Trained.boundary, segments=segments),
        tiling=None if isinstance(place, str) or not place.tiled else {},
        words=words,
    )


def _words(name: str | Path, prompts: Sequence[str], place: Placement | str) -> "Callable[[str], Tensor]":
    """Encode these prompts now, and give the context of any."""
    from flowedit.wan.encodings import encode_prompts

    contexts = dict(zip(prompts, encode_prompts(name, prompts, place), strict=True))

    def words(prompt: str) -> "Tensor":
        if prompt not in contexts:
            (contexts[prompt],) = encode_prompts(name, [prompt], place)
        return contexts[prompt]

    return words
