"""Clips longer than the model's window, measured: how far colours drift over the windows, and what memory they take.

The clips are scenes of the project's own world, so the exact answer of every frame is known.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from benchmarks.tables import markdown
from flowedit.edit.windows import window_starts
from flowedit.errors import ModelError, SettingError
from flowedit.keyframes import Keyframe
from flowedit.metrics import colour_drift, psnr
from flowedit.presets import model_defaults
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.world import Scene, render, sample_scene
from flowedit.wan.checkpoints import TINY
from training.families import Family, sample

Video = UInt8[np.ndarray, "F H W 3"]

FRAMES, SHORT, EVERY = 257, 65, 64
"""Frames of a long clip, of the short one that memory is compared with, and from one keyframe to the next."""
SIZE = (128, 128)
LIMIT = 1.5
"""The most that colours may drift from the first to the last window, in units of the drift within one."""
_QUANTISATION = 0.5
"""What rounding to 8 bits can move a mean colour by, in levels."""
_SCENES = 60
"""Scenes looked through for one of a family whose camera only moves on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LongClip:
    """A long clip whose exact edit is known.

    Attributes:
        scene: its number in the test split.
        family: what the style changes.
        caption: words for the clip and its style.
        source_caption: words for the clip alone.
        frames: the source, uint8 (F, H, W, 3).
        truth: the same in the style.
    """

    scene: int
    family: str
    caption: str
    source_caption: str
    frames: Video
    truth: Video

    @property
    def keyframes(self) -> list[Keyframe]:
        """Exact keyframes, one in `EVERY` frames, the first and the last frame included."""
        return [Keyframe(index, self.truth[index]) for index in range(0, len(self.frames), EVERY)]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far the colours of a long edit wander from the truth, in 8-bit levels.

    With `d(i)` the mean colour of edited frame i minus the truth's, a window's offset is the mean of `d` over its
    frames, and all figures are root mean squares over the channels.

    Attributes:
        between: offset of the last window minus that of the first.
        within: `colour_drift` of a window's frames: how far `d` strays from the window's offset; root mean square over
            the windows.
    """

    between: float
    within: float

    @property
    def ratio(self) -> float:
        """Drift from the first to the last window over that within one; at most `LIMIT` is asked for.

        Half a level, what rounding can cause, is added to both.
        """
        return (self.between + _QUANTISATION) / (self.within + _QUANTISATION)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one preset made of one long clip: the figures of `Drift` and `ratio`, and the following.

    Attributes:
        preset: name of the preset.
        family: what the style changes.
        scene: number of the scene.
        between: see `Drift`, as the two after it.
        within: see `Drift`.
        ratio: see `Drift`.
        psnr: mean against the truth in dB, each frame capped at 40.
        seconds: of the edit, on whatever the machine had free.
        peak_mb: most resident memory of the process that edited it, in MB (10**6 bytes).
        short_peak_mb: the same for its first `SHORT` frames.
        growth: peak minus short peak, in units of the bytes of the frames by which the two clips differ; source and
            result are 2 of them.
    """

    preset: str
    family: str
    scene: int
    between: float
    within: float
    ratio: float
    psnr: float
    seconds: float
    peak_mb: float
    short_peak_mb: float
    growth: float


def long_clip(family: Family, size: tuple[int, int] = SIZE) -> LongClip:
    """The first scene of a family in the test split whose camera moves on and does not zoom.

    A camera that zooms for so long ends in a single colour, or far outside.

    Args:
        family: what the style changes.
        size: (height, width) of its frames.

    Raises:
        SettingError: there is no such scene.
    """
    for number in range(list(Family).index(family), _SCENES, len(Family)):
        g = generator(Split.TEST, number)
        layout = sample_scene(g, 1, FRAMES)
        if _moves_on(layout):
            clip = render(layout, *size)
            style = sample(g, 1, Split.TEST, family)
            frames, truth = (_frames(video.numpy()) for video in (clip.rgb, stylize(clip, style)))
            content = clip.captions[0]
            caption = f"{style.words[0]}, {content}"
            return LongClip(
                scene=number, family=str(family), caption=caption, source_caption=content, frames=frames, truth=truth
            )
    raise SettingError(f"None of {_SCENES} scenes of the family {family} has a camera that only moves on.")


def drift(frames: Video, truth: Video, window: int) -> Drift:
    """How far the colours of a long edit wander, from window to window and within one.

    Args:
        frames: the edit.
        truth: the exact answer, same shape.
        window: frames of a window, `4n + 1`.
    """
    parts = [slice(start, start + window) for start in window_starts(len(frames), window)]
    offsets = [_offset(frames[part], truth[part]) for part in parts]
    within = [colour_drift(frames[part], truth[part]) for part in parts]
    return Drift(
        between=_rms(offsets[-1] - offsets[0]),
        within=_rms(np.asarray(within)),
    )


def read_clip(clip: LongClip, preset: str) -> Reading:
    """Edit a clip with the shipped model in windows, and compare it with its truth.

    Args:
        clip: the clip.
        preset: name of a preset of the shipped model.

    Raises:
        ModelError: an edit failed.
    """
    window = model_defaults(TINY).window
    short, long = (_edited(clip, number, preset) for number in (SHORT, FRAMES))
    found = drift(long.frames, clip.truth, window)
    more = (FRAMES - SHORT) * clip.frames[0].nbytes / 1e6
    return Reading(
        preset=preset,
        family=clip.family,
        scene=clip.scene,
        ratio=found.ratio,
        psnr=float(np.mean(psnr(long.frames, clip.truth))),
        seconds=long.seconds,
        peak_mb=long.peak_mb,
        short_peak_mb=short.peak_mb,
        growth=(long.peak_mb - short.peak_mb) / more,
        **asdict(found),
    )


_EDIT = """
import json, sys
import numpy as np
import torch
from flowedit.environment import peak_memory_mb
from flowedit.keyframes import Keyframe
from flowedit.models import load_model
from flowedit.presets import model_defaults, preset_settings
from flowedit.edit.windows import edit_long_video

preset, words, source_words, given, left = sys.argv[1:]
torch.set_num_threads(1)
with np.load(given) as made:
    frames, styled = made["frames"], zip(made["indices"].tolist(), made["images"])
keyframes = [Keyframe(index, image) for index, image in styled]
settings = preset_settings("tiny", preset, prompt=words, source_prompt=source_words)
model, window = load_model("tiny", device="cpu"), model_defaults("tiny").window
result = edit_long_video(frames, keyframes, model, settings, window=window)
peak = peak_memory_mb()
np.save(left, result.frames)
print(json.dumps([peak, sum(result.seconds.values())]))
"""


def alone() -> dict[str, str]:
    """Environment of a process whose peak is read: no GPU, and one thread, so that no other one holds a heap.

    The C library gives large blocks back when they are freed, so that the peak counts what is held.
    """
    malloc = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    return {**os.environ, **malloc, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class _Edited(NamedTuple):
    frames: Video
    peak_mb: float
    seconds: float


def _edited(clip: LongClip, number: int, preset: str) -> _Edited:
    """The edit of a clip's first frames, in a process of its own."""
    keyframes = [keyframe for keyframe in clip.keyframes if keyframe.index < number]
    with TemporaryDirectory() as folder:
        given, left = Path(folder) / "given.npz", Path(folder) / "left.npy"
        indices, images = [k.index for k in keyframes], np.stack([k.image for k in keyframes])
        np.savez(given, frames=clip.frames[:number], indices=indices, images=images)
        words = [clip.caption, clip.source_caption]
        command = [sys.executable, "-c", _EDIT, preset, *words, str(given), str(left)]
        said = run(command, capture_output=True, text=True, env=alone(), check=False)
        if said.returncode:
            last = said.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise ModelError(f"The edit in a process of its own ended with status {said.returncode}: {last[0]}")
        return _Edited(np.load(left), *json.loads(said.stdout))


def _moves_on(layout: Scene) -> bool:
    """Whether the camera pans by a quarter of the frame's width at least, and keeps its distance."""
    camera = layout.to_local[0, :, 0]
    scale = camera[:, 0, :2].norm(dim=-1)
    return bool(scale.max() < 1.05 * scale.min() and (camera[-1, :, 2] - camera[0, :, 2]).norm() > 0.5)


def _frames(video: Float[np.ndarray, "1 F 3 H W"]) -> Video:
    return np.round(video[0].transpose(0, 2, 3, 1) * 255).clip(0, 255).astype(np.uint8)


def _offset(frames: Video, truth: Video) -> Float[np.ndarray, " 3"]:
    return frames.mean(axis=(0, 1, 2)) - truth.mean(axis=(0, 1, 2))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def measure_long_clips(presets: Sequence[str], families: Sequence[Family], store: Path) -> Iterator[Reading]:
    """Read clip after clip, and keep each reading in a file, beside those of other presets and styles.

    Args:
        presets: of the shipped model.
        families: of styles; one clip each.
        store: JSON with the readings.
    """
    for family in families:
        clip = long_clip(family)
        for preset in presets:
            reading = read_clip(clip, preset)
            known = [row for row in read_readings(store) if (row.preset, row.family) != (preset, str(family))]
            rows = sorted([*known, reading], key=lambda row: (row.preset, row.family))
            store.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
            yield reading


def read_readings(store: Path) -> list[Reading]:
    """The readings of a file; none where there is no file."""
    if not store.exists():
        return []
    known = {field.name for field in fields(Reading)}
    rows = json.loads(store.read_text(encoding="utf-8"))
    return [Reading(**{name: row[name] for name in known}) for row in rows]


def to_markdown(readings: Sequence[Reading]) -> str:
    """A table with a line per reading."""
    heads = ("preset", "style", "first to last window", "within one", "ratio", "PSNR, dB", "peak, MB", "growth")
    rows = [
        (r.preset, r.family, *(f"{v:.2f}" for v in (r.between, r.within, r.ratio)), f"{r.psnr:.1f}", f"{r.peak_mb:.0f}",
         f"{r.growth:.1f}")
        for r in readings
    ]  # fmt: skip
    return markdown(heads, rows)
