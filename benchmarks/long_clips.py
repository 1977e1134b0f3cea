"""`python -m benchmarks long-clips`: how far colours drift over the windows of a clip longer than the model's.

The clips are scenes of the project's own world, so the exact answer of every frame is known.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.cases import Case, World
from benchmarks.rows import settings_of
from benchmarks.table import markdown
from benchmarks.worlds import SMALL_SIZE, case_of, frames_of
from flowedit.edit.steps import edit_video
from flowedit.edit.windows import edit_long_video, window_starts
from flowedit.files import write_json
from flowedit.frames import Video
from flowedit.metrics import colour_drift, psnr
from flowedit.models import load_model
from flowedit.presets import model_defaults
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.world import render, sample_scene
from flowedit.wan.checkpoints import TINY
from training.families import Family, sample

FRAMES, EVERY = 257, 64
"""Frames of a long clip, and from one keyframe to the next."""
LIMIT = 1.5
"""The most that colours may drift from the first to the last window, in units of the drift within one."""
_QUANTISATION = 0.5
"""What rounding to 8 bits can move a mean colour by, in levels."""
SCENES = {Family.GLOBAL: 6, Family.TONE: 1, Family.EDGES: 20, Family.TEXTURE: 3}
"""Of each family of styles the first test scene whose camera moves on and does not zoom, which for so long would end in
a single colour, or far outside."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one preset made of one long clip: `drift`, and the mean PSNR in dB, each frame capped at 40."""

    preset: str
    family: str
    scene: int
    between: float
    within: float
    psnr: float

    @property
    def ratio(self) -> float:
        """Drift over that within one window, to both of which half a level is added: what rounding can cause."""
        return (self.between + _QUANTISATION) / (self.within + _QUANTISATION)


def long_clip(family: Family) -> Case:
    """The scene of a family, with keyframes throughout."""
    g = generator(Split.TEST, SCENES[family])
    clip, style = render(sample_scene(g, 1, FRAMES), *SMALL_SIZE), sample(g, 1, Split.TEST, family)
    words = {"caption": f"{style.words[0]}, {clip.captions[0]}", "source_caption": clip.captions[0]}
    known = {"world": World.OWN, "scene": SCENES[family], "family": str(family), **words}
    frames, truth, ink = frames_of(clip.rgb), frames_of(stylize(clip, style)), clip.ink[0, :, 0].numpy()
    return case_of(frames, truth, ink, at=range(0, FRAMES, EVERY), **known)


def drift(frames: Video, truth: Video, window: int) -> dict[str, float]:
    """How far the colours of a long edit wander from the truth, in 8-bit levels.

    With `d(i)` the mean colour of edited frame i minus the truth's, a window's offset is the mean of `d` over its
    frames, and both figures are root mean squares over the channels.

    Args:
        frames: the edit.
        truth: the exact answer, same shape.
        window: frames of a window, `4n + 1`.

    Returns:
        `between`, the offset of the last window minus that of the first; and `within`, how far `d` strays from a
        window's offset (`colour_drift`), root mean square over the windows.
    """
    parts = [slice(start, start + window) for start in window_starts(len(frames), window)]
    first, *_, last = [frames[part].mean((0, 1, 2)) - truth[part].mean((0, 1, 2)) for part in parts]
    within = np.asarray([colour_drift(frames[part], truth[part]) for part in parts])
    return {"between": _rms(last - first), "within": _rms(within)}


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def read_clip(clip: Case, preset: str) -> Reading:
    """Edit a clip with the shipped model in windows, and compare it with its truth."""
    window = model_defaults(TINY).window
    model, settings = load_model(TINY, device="cpu"), settings_of(clip, preset)
    edit = edit_video if settings.classical else partial(edit_long_video, window=window)
    edited = edit(clip.frames, clip.keyframes, model, settings).frames
    found = drift(edited, clip.truth, window) | {"psnr": float(np.mean(psnr(edited, clip.truth)))}
    return Reading(preset=preset, family=clip.family, scene=clip.scene, **found)


def measure_long_clips(presets: Sequence[str], families: Sequence[Family], store: Path) -> Iterator[Reading]:
    """Read a clip of each family with presets of the shipped model; a reading is kept in a file beside the others."""
    for family in families:
        clip = long_clip(family)
        for preset in presets:
            reading = read_clip(clip, preset)
            known = [row for row in read_readings(store) if (row.preset, row.family) != (preset, str(family))]
            rows = sorted([*known, reading], key=lambda row: (row.preset, row.family))
            write_json(store, [asdict(row) for row in rows], indent=1)
            yield reading


def read_readings(store: Path) -> list[Reading]:
    """The readings of a file; none where there is no file."""
    rows = json.loads(store.read_text(encoding="utf-8")) if store.exists() else []
    return [Reading(**row) for row in rows]


def to_markdown(readings: Sequence[Reading]) -> str:
    """A table with a line per reading."""
    heads = ("preset", "style", "first to last window", "within one", "ratio", "PSNR, dB")
    figures = [(*(f"{v:.2f}" for v in (r.between, r.within, r.ratio)), f"{r.psnr:.1f}") for r in readings]
    return markdown(heads, [(r.preset, r.family, *row) for r, row in zip(readings, figures, strict=True)])
