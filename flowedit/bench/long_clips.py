"""Clips longer than the model's window, measured: how far colours drift over the windows, and what memory they take.

The clips are scenes of the project's own world, so the exact answer of every frame is known.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float, UInt8

from flowedit.bench.pages import fill_page, write_whole
from flowedit.errors import ModelError, SettingError
from flowedit.keyframes import Keyframe
from flowedit.metrics import colour_drift, psnr
from flowedit.models import TINY, load_model
from flowedit.presets import model_defaults, preset_settings
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.styles import Family, sample, stylize
from flowedit.tiny.world import Scene, render, sample_scene
from flowedit.windows import edit_long_video, window_starts

Video = UInt8[np.ndarray, "F H W 3"]

COMMAND = "tools/long_clips.py"
FRAMES, SHORT, EVERY = 257, 65, 64
"""Frames of a long clip, of the short one that memory is compared with, and from one keyframe to the next."""
SIZE, MEMORY_SIZE = (128, 128), (256, 256)
LIMIT = 1.5
"""The most that colours may drift from the first to the last window, in units of the drift within one."""
_SCENES = 60
"""Scenes looked through for one of a family whose camera does not zoom."""


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
        farthest: offset of the window that is farthest from the first one's, minus the first one's.
    """

    between: float
    within: float
    farthest: float

    @property
    def ratio(self) -> float:
        """Drift from the first to the last window in units of that within one; at most `LIMIT` is asked for."""
        return self.between / self.within


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one preset made of one long clip: `Drift`, and mean PSNR against the truth in dB, frames capped at 40."""

    preset: str
    family: str
    scene: int
    windows: int
    between: float
    within: float
    farthest: float
    ratio: float
    psnr: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Most resident memory of an edit of a short and of a long clip, each in a process of its own.

    Attributes:
        preset: name of the preset.
        short_mb: peak with `SHORT` frames, in MB (10**6 bytes).
        long_mb: peak with `FRAMES` frames.
        frames_mb: bytes of the frames by which the two clips differ.
    """

    preset: str
    short_mb: float
    long_mb: float
    frames_mb: float

    @property
    def factor(self) -> float:
        """Growth in units of the frames' own bytes; the source and the result are 2 of them."""
        return (self.long_mb - self.short_mb) / self.frames_mb


def long_clip(family: Family, size: tuple[int, int] = SIZE) -> LongClip:
    """The first scene of a family in the test split whose camera does not zoom: it would leave the scene in the end.

    Args:
        family: what the style changes.
        size: (height, width) of its frames.

    Raises:
        SettingError: there is no such scene.
    """
    for number in range(list(Family).index(family), _SCENES, len(Family)):
        g = generator(Split.TEST, number)
        layout = sample_scene(g, 1, FRAMES)
        if not _zooms(layout):
            clip = render(layout, *size)
            style = sample(g, 1, Split.TEST, family)
            frames, truth = (_frames(video.numpy()) for video in (clip.rgb, stylize(clip, style)))
            content = clip.captions[0]
            caption = f"{style.words[0]}, {content}"
            return LongClip(
                scene=number, family=str(family), caption=caption, source_caption=content, frames=frames, truth=truth
            )
    raise SettingError(f"None of {_SCENES} scenes of the family {family} has a camera that does not zoom.")


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
        farthest=max(_rms(offset - offsets[0]) for offset in offsets),
    )


def read_clip(clip: LongClip, preset: str) -> Reading:
    """Edit a clip with the shipped model in windows, and compare it with its truth.

    Args:
        clip: the clip.
        preset: name of a preset of the shipped model.
    """
    settings = preset_settings(TINY, preset, prompt=clip.caption, source_prompt=clip.source_caption)
    window = model_defaults(TINY).window
    model = load_model(TINY, device="cpu")
    result = edit_long_video(clip.frames, clip.keyframes, model, settings, window=window)
    found = drift(result.frames, clip.truth, window)
    return Reading(
        preset=preset,
        family=clip.family,
        scene=clip.scene,
        windows=len(window_starts(len(clip.frames), window)),
        ratio=found.ratio,
        psnr=float(np.mean(psnr(result.frames, clip.truth))),
        seconds=sum(result.seconds.values()),
        **asdict(found),
    )


def memory_growth(preset: str) -> Growth:
    """What an edit of `FRAMES` frames takes more than one of `SHORT`.

    Args:
        preset: name of a preset of the shipped model.

    Raises:
        ModelError: an edit failed.
    """
    with TemporaryDirectory() as folder:
        made = long_clip(Family.GLOBAL, MEMORY_SIZE)
        peaks = []
        for number in (SHORT, FRAMES):
            file = Path(folder) / f"{number}.npy"
            np.save(file, np.stack([made.frames[:number], made.truth[:number]]))
            peaks.append(_peak(preset, file))
    frames_mb = (FRAMES - SHORT) * made.frames[0].nbytes / 1e6
    return Growth(preset=preset, short_mb=peaks[0], long_mb=peaks[1], frames_mb=frames_mb)


def report_long_clips(
    presets: Sequence[str], families: Sequence[Family], say: Callable[[str], object], *, json_file: Path, page: Path
) -> None:
    """Measure, say each figure as it is read, and write them.

    Args:
        presets: of the shipped model.
        families: of styles; one clip each.
        say: is told each line.
        json_file: where the figures go.
        page: a Markdown page with marks, see `fill_page`.
    """
    growths = []
    for preset in presets:
        growths.append(memory_growth(preset))
        say(f"{growths[-1]}, factor {growths[-1].factor:.2f}")
    readings = []
    for family in families:
        clip = long_clip(family)
        for preset in presets:
            readings.append(read_clip(clip, preset))
            say(str(readings[-1]))
    rows = {
        "clips": [asdict(reading) for reading in readings],
        "memory": [{**asdict(growth), "factor": growth.factor} for growth in growths],
    }
    write_whole(json_file, json.dumps(rows, indent=1) + "\n")
    fill_page(page, COMMAND, to_markdown(readings, growths))


def to_markdown(readings: Sequence[Reading], growths: Sequence[Growth]) -> str:
    """Both tables, and what they say.

    Args:
        readings: of the clips.
        growths: of memory.
    """
    lines = [
        "| preset | style | first to last window | within one window | ratio | farthest window | PSNR |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.preset} | {r.family} | {r.between:.2f} | {r.within:.2f} | {r.ratio:.2f} | {r.farthest:.2f} | "
        f"{r.psnr:.1f} dB |"
        for r in readings
    ]
    for preset in dict.fromkeys(r.preset for r in readings):
        own = [r for r in readings if r.preset == preset]
        over = [f"{r.family} ({r.ratio:.2f})" for r in own if r.ratio > LIMIT]
        kept = f"`{preset}`: {len(own) - len(over)} of {len(own)} clips at most {LIMIT:g}"
        lines += ["", f"{kept}{'; above: ' + ', '.join(over) if over else ''}."]
    lines += [
        "",
        f"| preset | peak, {SHORT} frames | peak, {FRAMES} frames | growth | of the frames' own bytes |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {g.preset} | {g.short_mb:.0f} MB | {g.long_mb:.0f} MB | {g.long_mb - g.short_mb:.0f} MB | "
        f"{g.factor:.1f} times {g.frames_mb:.0f} MB |"
        for g in growths
    ]
    return "\n".join(lines)


_EDIT = """
import sys
import numpy as np
import torch
from flowedit.bench.long_clips import EVERY
from flowedit.environment import peak_memory_mb
from flowedit.keyframes import Keyframe
from flowedit.models import load_model
from flowedit.presets import model_defaults, preset_settings
from flowedit.windows import edit_long_video

torch.set_num_threads(1)
frames, truth = np.load(sys.argv[2], mmap_mode="r")
keyframes = [Keyframe(index, np.array(truth[index])) for index in range(0, len(frames), EVERY)]
settings = preset_settings("tiny", sys.argv[1])
model = load_model("tiny", device="cpu")
edit_long_video(np.array(frames), keyframes, model, settings, window=model_defaults("tiny").window)
print(peak_memory_mb())
"""


def _peak(preset: str, file: Path) -> float:
    """Most resident memory of one edit in a process of its own, in MB; large blocks go back as they are freed."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", _EDIT, preset, str(file)]
    said = run(command, capture_output=True, text=True, env=environment, check=False)
    if said.returncode:
        last = said.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ModelError(f"The edit in a process of its own ended with status {said.returncode}: {last[0]}")
    return float(said.stdout.split()[-1])


def _zooms(layout: Scene) -> bool:
    scale = layout.to_local[0, :, 0, 0, :2].norm(dim=-1)
    return bool(scale.max() > 1.05 * scale.min())


def _frames(video: Float[np.ndarray, "1 F 3 H W"]) -> Video:
    return np.round(video[0].transpose(0, 2, 3, 1) * 255).clip(0, 255).astype(np.uint8)


def _offset(frames: Video, truth: Video) -> Float[np.ndarray, " 3"]:
    return frames.mean(axis=(0, 1, 2)) - truth.mean(axis=(0, 1, 2))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
