"""What a model works at by default, and the presets that the command line offers for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowedit.correction import Constant
from flowedit.errors import SettingError
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import ALIASES, CHECKPOINTS, TINY, Checkpoint
from flowedit.wan.loading import checkpoint_of

KNOWN = (TINY, *ALIASES, *CHECKPOINTS)
"""Names that have defaults whatever lies on disk; a model that was loaded elsewhere may have any other."""


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """The clip a model was trained on, the methods it can run, and its presets.

    Attributes:
        area: pixels of a frame; an edit keeps the clip's own aspect, and its frame rate.
        window: frames of the longest clip it edits at once, `4n + 1`.
        multiple: what height and width must divide by.
        methods: settings of each method that the model can run, by its name.
        presets: method of each preset, and what it sets otherwise; every model has `default`, `draft` and `method`.
    """

    area: int
    window: int
    multiple: int
    methods: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, Any]]

    def settings(self, preset: str, method: str | None = None) -> dict[str, Any]:
        """What a preset sets, by name, where another method was chosen by that method's own grid.

        Raises:
            SettingError: no such preset, or a method that the model was not trained for.
        """
        if preset not in self.presets:
            raise SettingError(f"preset is {preset!r}; use one of {', '.join(self.presets)}.")
        chosen = self.presets[preset]
        method = method or chosen["method"]
        if method == "refine" and method not in self.methods:
            raise SettingError(f"method is refine; the model was not trained for it. Use {' or '.join(self.methods)}.")
        return {**self.methods.get(str(method), {}), **chosen, "method": method}


_GRID = {"keyframe_encoding": "delta", "strength": 0.7, "steps": 8, "shift": 3.0}
_TINY = ModelDefaults(
    area=128 * 128,
    window=33,
    multiple=16,
    methods={
        "coupled": _GRID,
        "difference": {**_GRID, "gain": Constant(0.25)},
        # It was trained to refine an estimate from a source with little noise, in one step.
        "refine": {"strength": 0.08, "steps": 1, "shift": 3.0},
    },
    presets={
        "default": {"method": "refine"},
        "draft": {"method": "estimate"},
        "method": {"method": "difference"},
    },
)
_ANY_FRAME = ("i2v", "vace", "segments")
"""Routes that take an image at any frame; TI2V-5B's clean first latent is one frame alone."""
_DRAFT_SHARE = 0.4
"""Steps of a real model's draft, as a share of its authors' own."""


def model_defaults(model: str | Path) -> ModelDefaults:
    """The defaults of `tiny`, a checkpoint by name or alias, or the folder or file of one; nothing needs to be fetched.

    Raises:
        ModelError: no such checkpoint, or files that hold none.

    >>> model_defaults("Wan2.2-TI2V-5B").window
    121
    """
    return _TINY if str(model) == TINY else _defaults_of(checkpoint_of(model))


def _defaults_of(entry: Checkpoint) -> ModelDefaults:
    """The authors' steps, shift and guidance; keyframes as images where any frame can be one, else as tokens."""
    grid = {
        "strength": 0.8,
        "steps": entry.steps,
        "shift": entry.shift,
        "guidance": entry.guidance,
        "conditioning": "i2v" if entry.image_route in _ANY_FRAME else "tokens",
        "positions": "zero" if entry.image_route == "segments" else "shared",
    }
    return ModelDefaults(
        area=entry.height * entry.width_px,
        window=entry.num_frames,
        multiple=entry.size_multiple,
        methods={"coupled": grid, "difference": grid},
        presets={
            "default": {"method": "difference"},
            "draft": {"method": "difference", "steps": round(_DRAFT_SHARE * entry.steps)},
            "method": {"method": "difference"},
        },
    )


def preset_settings(model: str | Path, preset: str = "default", **changes: Any) -> EditSettings:  # noqa: ANN401 - any setting
    """The settings of a preset, with changes in the words of `EditSettings.of`; a method brings its own grid.

    Raises:
        ModelError: no such model.
        SettingError: no such preset, a method that the model was not trained for, or a setting that makes no sense.
    """
    return EditSettings.of(**{**model_defaults(model).settings(preset, changes.get("method")), **changes})
