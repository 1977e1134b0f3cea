"""What a model works at by default, and the presets that the command line offers for it."""

from dataclasses import dataclass
from typing import Any

from flowedit.config import EditSettings
from flowedit.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """The clip a model was trained on, and its presets.

    Attributes:
        area: pixels of a frame.
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
_REAL = ModelDefaults(
    area=832 * 480,
    window=81,
    multiple=16,
    presets={
        "default": {"method": "difference", "strength": 0.8, "steps": 50, "shift": 5.0, "guidance": 5.0},
        "draft": {"method": "difference", "strength": 0.8, "steps": 20, "shift": 5.0, "guidance": 5.0},
        "method": {"method": "difference", "strength": 0.8, "steps": 50, "shift": 5.0, "guidance": 5.0},
    },
)


def model_defaults(model: str) -> ModelDefaults:
    """The defaults of a model by name; every model but the small one shares Wan's 480p."""
    return _TINY if model == "tiny" else _REAL


def preset_settings(model: str, preset: str = "default", **changes: Any) -> EditSettings:  # noqa: ANN401 - any setting
    """The settings of a preset, with some changed; what cannot repair a guess starts from the preset `method` instead.

    Args:
        model: name of the model.
        preset: `default`, `draft` or `method`.
        changes: settings by name that replace the preset's.

    Raises:
        SettingError: no such preset, or a setting that makes no sense.
    """
    presets = model_defaults(model).presets
    if preset not in presets:
        raise SettingError(f"preset is {preset!r}; use one of {', '.join(presets)}.")
    base = presets[preset]
    repairs = (changes.get("method", base["method"]), changes.get("conditioning", "i2v")) in _REPAIRING
    if base.get("fill") == "guess" and "fill" not in changes and not repairs:
        # One step with little noise and no correction repairs a guess; without one it would leave the clip as it is.
        base = {**presets["method"], **{name: base[name] for name in ("scale",) if name in base}}
    return EditSettings(**{**base, **changes})
