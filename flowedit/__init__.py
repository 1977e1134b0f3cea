"""flowedit: keyframe-guided video editing by flow matching on Wan video models.

The names below load when they are first used, so that `import flowedit` waits for no heavy library.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowedit.compat import IntegratedVideoEditor, WanVideoEditorPipeline
    from flowedit.edit.result import EditResult
    from flowedit.edit.steps import PreparedEdit, edit_steps, edit_video, finish, prepare
    from flowedit.errors import FlowEditError, UnusualSettingWarning
    from flowedit.keyframes import Keyframe
    from flowedit.media.clip import Clip, probe, read_video, write_video
    from flowedit.media.images import read_image, resize_image, resize_video, write_image
    from flowedit.methods.branches import Step
    from flowedit.methods.latentops import compute_velocity_correction, construct_rope_ids, prepare_coupled_noise
    from flowedit.models import load_model
    from flowedit.presets import preset_settings
    from flowedit.settings import EditSettings
    from flowedit.trace import StepTrace, Trace

__version__ = "0.1.0"

# The one thing that importing does: it asks for large pages. torch reads this when it makes its first tensor, which
# in a notebook comes before any call that could set it. The autoencoder's first touch of fresh memory, 4 kB at a time,
# took a third of an edit. Whoever has set it keeps what they set.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_HOMES = {
    "compat": ("IntegratedVideoEditor", "WanVideoEditorPipeline"),
    "settings": ("EditSettings",),
    "edit.steps": ("PreparedEdit", "edit_steps", "edit_video", "finish", "prepare"),
    "errors": ("FlowEditError", "UnusualSettingWarning"),
    "media.images": ("read_image", "resize_image", "resize_video", "write_image"),
    "keyframes": ("Keyframe",),
    "methods.latentops": ("compute_velocity_correction", "construct_rope_ids", "prepare_coupled_noise"),
    "methods.branches": ("Step",),
    "models": ("load_model",),
    "presets": ("preset_settings",),
    "edit.result": ("EditResult",),
    "trace": ("StepTrace", "Trace"),
    "media.clip": ("Clip", "probe", "read_video", "write_video"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a public name can be anything
    if name not in _HOME_OF:
        raise AttributeError(f"flowedit has no {name!r}; it offers {', '.join(__all__)}.")
    value = getattr(import_module(f"flowedit.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
