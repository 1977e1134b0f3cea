"""What a model works at by default, and the presets that the command line offers for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowedit.errors import SettingError
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import ALIASES, CHECKPOINTS, TINY, Checkpoint
from flowedit.wan.loading import checkpoint_of

KNOWN = (TINY, *ALIASES, *CHECKPOINTS)
"""Names that have defaults whatever lies on disk; a model that was loaded elsewhere may have any other."""


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """The clip a model was trained on, and its presets.

    Attributes:
        area: pixels of a frame; an edit keeps the clip's own aspect, and its frame rate.
        window: frames of the longest clip it edits at once, `4n + 1`.
        multiple: what height and width must divide by.
        presets: settings by preset name; every model has `default`, `draft` and `method`.
    """

    area: int
    window: int
    multiple: int
    presets: dict[str, dict[str, Any]]


_REPAIR = {
    "method": "coupled",
    "fill": "guess",
    "keyframe_encoding": "delta",
    "alpha": 0.0,
    "strength": 0.08,
    "shift": 3.0,
}
"""The small model was trained to repair a guess from a source with little noise."""
_REPAIRING = {("coupled", "i2v"), ("coupled", "both")}
"""Methods and conditionings that show a guess to the model."""
_TINY = ModelDefaults(
    area=128 * 128,
    window=33,
    multiple=16,
    presets={
        "default": {**_REPAIR, "steps": 1},
        "draft": {**_REPAIR, "steps": 1, "scale": 0.5},
        "method": {
            **{"method": "difference", "keyframe_encoding": "delta"},
            **{"strength": 0.7, "steps": 8, "shift": 3.0},
        },
    },
)
_ANY_FRAME = ("i2v", "vace")
"""Routes that take an image at any frame; TI2V-5B's clean first latent is one frame alone."""
_DRAFT_SHARE = 0.4
"""Steps of a real model's draft, as a share of its authors' own."""


def model_defaults(model: str | Path) -> ModelDefaults:
    """The defaults of a model: the clip that its checkpoint was trained on, as the registry has it.

    Args:
        model: `tiny`, a checkpoint's name or alias, or the folder or file of one; nothing needs to be fetched.

    Raises:
        ModelError: no such checkpoint, or files that hold none.

    >>> model_defaults("Wan2.2-TI2V-5B").window
    121
    """
    return _TINY if str(model) == TINY else _defaults_of(checkpoint_of(model))


def _defaults_of(entry: Checkpoint) -> ModelDefaults:
    area = entry.height * entry.width_px
    return ModelDefaults(area=area, window=entry.num_frames, multiple=entry.size_multiple, presets=_presets_of(entry))


def _presets_of(entry: Checkpoint) -> dict[str, dict[str, Any]]:
    """The authors' steps, shift and guidance; keyframes as images where any frame can be one, else as tokens."""
    whole = {
        "method": "difference",
        "strength": 0.8,
        "steps": entry.steps,
        "shift": entry.shift,
        "guidance": entry.guidance,
        "conditioning": "i2v" if entry.image_route in _ANY_FRAME else "tokens",
    }
    return {"default": whole, "draft": {**whole, "steps": round(_DRAFT_SHARE * entry.steps)}, "method": whole}


def preset_settings(model: str | Path, preset: str = "default", **changes: Any) -> EditSettings:  # noqa: ANN401 - any setting
    """The settings of a preset, with some changed; what cannot repair a guess starts from the preset `method` instead.

    Args:
        model: the model, as `model_defaults` takes it.
        preset: `default`, `draft` or `method`.
        changes: settings by name that replace the preset's; a `kappa` also takes the place of the preset's `alpha`.

    Raises:
        ModelError: no such model.
        SettingError: no such preset, a setting that makes no sense, or `alpha` and `kappa` both given.
    """
    presets = model_defaults(model).presets
    if preset not in presets:
        raise SettingError(f"preset is {preset!r}; use one of {', '.join(presets)}.")
    base = presets[preset]
    repairs = (changes.get("method", base["method"]), changes.get("conditioning", "i2v")) in _REPAIRING
    if base.get("fill") == "guess" and "fill" not in changes and not repairs:
        # One step with little noise and no correction repairs a guess; without one it would leave the clip as it is.
        base = {**presets["method"], **{name: base[name] for name in ("scale",) if name in base}}
    if changes.get("kappa") is not None:
        base = {name: value for name, value in base.items() if name != "alpha"}
    return EditSettings.of(**{**base, **changes})
