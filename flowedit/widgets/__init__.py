"""Widgets for notebooks, which also work without a kernel.

Each is one Python file here with one `.js` and one `.css` in `static/`. Importing this package loads nothing heavy; a
name is imported when it is first used. To add a widget, see `flowedit.widgets._base`.
"""

from importlib import import_module

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

__all__ = sorted([*REGISTRY, *_FUNCTIONS])


def __getattr__(name: str) -> object:
    """Import a widget, or `page`, on first use."""
    module = REGISTRY.get(name) or _FUNCTIONS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    """The public names, so that completion finds them before they are imported."""
    return list(__all__)
