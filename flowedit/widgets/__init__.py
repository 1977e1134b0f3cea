"""Widgets for notebooks, which also work without a kernel.

Each is one Python file here with one `.js` and one `.css` in `static/`. Importing this package loads nothing heavy; a
name is imported when it is first used; the same names stand below for type checkers. To add a widget, see
`flowedit.widgets._base`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowedit.widgets.agent_trace import AgentTrace
    from flowedit.widgets.alpha_explorer import AlphaExplorer
    from flowedit.widgets.clip_picker import ClipPicker
    from flowedit.widgets.compare_grid import CompareGrid
    from flowedit.widgets.demo import demo_clip
    from flowedit.widgets.env_card import EnvCard
    from flowedit.widgets.export import page
    from flowedit.widgets.flow_field_2d import FlowField2D
    from flowedit.widgets.frame_scrubber import FrameScrubber
    from flowedit.widgets.gap_explorer import GapExplorer
    from flowedit.widgets.keyframe_gallery import KeyframeGallery
    from flowedit.widgets.preview import fit_latent_rgb, latent_rgb, step_preview
    from flowedit.widgets.residual_inspector import ResidualInspector
    from flowedit.widgets.run_panel import RunPanel
    from flowedit.widgets.slot_map import SlotMap

REGISTRY = {
    "AgentTrace": "agent_trace",
    "AlphaExplorer": "alpha_explorer",
    "CompareGrid": "compare_grid",
    "EnvCard": "env_card",
    "FlowField2D": "flow_field_2d",
    "FrameScrubber": "frame_scrubber",
    "GapExplorer": "gap_explorer",
    "KeyframeGallery": "keyframe_gallery",
    "ResidualInspector": "residual_inspector",
    "RunPanel": "run_panel",
    "SlotMap": "slot_map",
}
"""Every widget and the module of this package it lives in: one line each."""

_FUNCTIONS = {
    "page": "export",
    "ClipPicker": "clip_picker",
    "demo_clip": "demo",
    "fit_latent_rgb": "preview",
    "latent_rgb": "preview",
    "step_preview": "preview",
}

__all__ = [
    "AgentTrace",
    "AlphaExplorer",
    "ClipPicker",
    "CompareGrid",
    "EnvCard",
    "FlowField2D",
    "FrameScrubber",
    "GapExplorer",
    "KeyframeGallery",
    "ResidualInspector",
    "RunPanel",
    "SlotMap",
    "demo_clip",
    "fit_latent_rgb",
    "latent_rgb",
    "page",
    "step_preview",
]


def __getattr__(name: str) -> object:
    """Import a widget, or `page`, on first use."""
    module = REGISTRY.get(name) or _FUNCTIONS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    """The public names, so that completion finds them before they are imported."""
    return list(__all__)
