"""`load_model`: the small model that ships with the package, or a Wan checkpoint, behind one name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flowedit.errors import SettingError

if TYPE_CHECKING:
    import torch

    from flowedit.model import ClipShape
    from flowedit.wan.adapter import WanVideo
    from flowedit.wan.checkpoints import Checkpoint
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
    level: "Level | Literal['auto']" = "auto",
) -> "WanVideo":
    """Load a video model by name.

    Args:
        name: `tiny`; `1.3B` or `14B`; a checkpoint's name as `flowedit models list` gives it; a folder or a file.
        device: where it runs, such as `cpu` or `cuda`; None takes the GPU where there is one.
        dtype: `float32`, `bfloat16` or `float16`; None takes what suits the model and the device.
        shape: the clip that it will edit, by which a checkpoint's place in memory is chosen; None means its own size.
        level: where a checkpoint's weights rest between uses: `resident`, `offload`, `fp8`, `disk` or `cpu`; `auto`
            takes the fastest that fits. Read only where `device` is None.

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
    return _load_checkpoint(name, device, dtype, shape, level)


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

    from flowedit.environment import cpu_has_bfloat16
    from flowedit.tiny.load import build_pipeline
    from flowedit.tiny.lora import joint_source
    from flowedit.wan.adapter import WanVideo

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    pipe = build_pipeline(place, _dtype(dtype or "float32"))
    fast = torch.bfloat16 if place == "cpu" and dtype is None and cpu_has_bfloat16() else None
    return WanVideo(pipe, name=TINY, repairs=True, vae_dtype=fast, joint_dit=joint_source(pipe))


def _load_checkpoint(
    name: str | Path, device: str | None, dtype: str | None, shape: "ClipShape | None", level: "Level | Literal['auto']"
) -> "WanVideo":
    from flowedit.wan.adapter import WanVideo
    from flowedit.wan.loading import load_pipeline, locate

    # Files are checked before memory is looked at, so that a missing checkpoint is named first.
    checkpoint = locate(name).checkpoint
    fit = _best_fit(checkpoint, shape, level) if device is None else None
    kind = dtype or (fit.dtype_name if fit else "bfloat16")
    loaded = load_pipeline(name, fit=fit, device=device or (fit.device if fit else "cpu"), dtype=_dtype(kind))
    handover: dict[str, Any] = {} if checkpoint.boundary is None else {"boundary": checkpoint.boundary}
    return WanVideo(loaded.pipe, name=checkpoint.name, tiling={} if fit and fit.tiled else None, **handover)


def _best_fit(checkpoint: "Checkpoint", shape: "ClipShape | None", level: "Level | Literal['auto']") -> "Fit":
    """The fastest way in which the checkpoint and the clip fit this machine."""
    from flowedit.model import ClipShape
    from flowedit.wan.fit import choose_fits
    from flowedit.wan.resources import measure_resources

    own = ClipShape(num_frames=checkpoint.num_frames, height=checkpoint.height, width=checkpoint.width_px)
    return choose_fits(checkpoint, shape or own, measure_resources(), level=level)[0]


def _dtype(name: str) -> "torch.dtype":
    import torch

    return getattr(torch, name)
