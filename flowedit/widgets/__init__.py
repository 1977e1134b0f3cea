"""Widgets for notebooks, which also work without a kernel.

Each is one Python file here with one `.js` and one `.css` in `static/`; how to add one says `flowedit.widgets._base`.
"""

from flowedit.widgets._base import Column, page
from flowedit.widgets.agent_trace import AgentTrace
from flowedit.widgets.alpha_explorer import AlphaExplorer
from flowedit.widgets.clip_picker import ClipPicker
from flowedit.widgets.compare_grid import CompareGrid
from flowedit.widgets.coupled_stage import CoupledStage
from flowedit.widgets.env_card import EnvCard
from flowedit.widgets.flow_field_2d import FlowField2D
from flowedit.widgets.frame_scrubber import FrameScrubber
from flowedit.widgets.gap_explorer import GapExplorer
from flowedit.widgets.keyframe_gallery import KeyframeGallery
from flowedit.widgets.preview import latent_preview
from flowedit.widgets.residual_inspector import ResidualInspector
from flowedit.widgets.run_panel import RunPanel
from flowedit.widgets.slot_map import SlotMap

__all__ = [
    "AgentTrace",
    "AlphaExplorer",
    "ClipPicker",
    "Column",
    "CompareGrid",
    "CoupledStage",
    "EnvCard",
    "FlowField2D",
    "FrameScrubber",
    "GapExplorer",
    "KeyframeGallery",
    "ResidualInspector",
    "RunPanel",
    "SlotMap",
    "latent_preview",
    "page",
]
