"""Measure `--detail guided` against plain enlarging, style by style, for docs/quality.md."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.pages import fill_page
from flowedit.edit import edit_video
from flowedit.guided import carry_change, with_perfect_guide
from flowedit.keyframes import Keyframe
from flowedit.media.images import resize_video
from flowedit.metrics import psnr
from flowedit.model import VideoModel
from flowedit.models import load_model
from flowedit.presets import preset_settings
from flowedit.tiny.splits import Split
from flowedit.tiny.styles import Family, sample, stylize
from flowedit.tiny.world import render, sample_scene

FRAMES, LARGE, SMALL = 5, (512, 512), (128, 128)
LEAST, KEPT = 3.0, 40.0
CAP = 60.0
"""Most dB of a frame that count: enlarging a colour change alone already passes the 40 of the benchmark."""
MARGIN = LARGE[0] // SMALL[0]
"""Pixels beside a change that the small edit cannot tell from it."""


def measure(model: VideoModel, scene: int, family: Family) -> tuple[float, float, float, float]:
    """Gain in dB over plain enlarging, about the most that any guide could, and how well untouched regions are kept.

    The third is the lowest PSNR of a frame's untouched regions against the source, the fourth the same for an exact
    small edit: what carrying it costs, without the edit's own errors.

    Args:
        model: edits at the small size, from keyframe 0 alone.
        scene: seed of scene and style.
        family: what the style changes.
    """
    g = torch.Generator().manual_seed(scene)
    clip = render(sample_scene(g, 1, FRAMES), *LARGE)
    style = sample(g, 1, Split.VALIDATION, family)
    source, truth = _frames(clip.rgb), _frames(stylize(clip, style))
    words = {"prompt": f"{style.words[0]}, {clip.captions[0]}", "source_prompt": clip.captions[0]}
    settings = preset_settings("tiny", "draft", detail="guided", **words)
    keyframe = Keyframe(0, resize_video(truth[:1], SMALL)[0])
    small = edit_video(resize_video(source, SMALL), [keyframe], model, settings).frames
    made, plain = carry_change(source, small)[1:], resize_video(small, LARGE)[1:]
    ideal = np.stack([with_perfect_guide(*frame) for frame in zip(source, small, truth, strict=True)])[1:]
    gain, most = (float((psnr(v, truth[1:], CAP) - psnr(plain, truth[1:], CAP)).mean()) for v in (made, ideal))
    exact = carry_change(source, resize_video(truth, SMALL))[1:]
    kept, best = (min(_kept(v, source[1:], truth[1:]), default=float("nan")) for v in (made, exact))
    return gain, most, kept, best


def _kept(made: np.ndarray, source: np.ndarray, truth: np.ndarray) -> Iterator[float]:
    for frame, before, after in zip(made, source, truth, strict=True):
        alike = (np.abs(after.astype(int) - before).max(axis=2) <= 1).astype(np.uint8)
        untouched = cv2.distanceTransform(alike, cv2.DIST_L2, 5) > MARGIN
        if untouched.mean() > 0.01:
            error = np.mean(np.square(frame[untouched].astype(float) - before[untouched]))
            yield float(10 * np.log10(255**2 / max(error, 1e-3)))


def _frames(video: torch.Tensor) -> np.ndarray:
    return (video[0].permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def _cell(value: float, least: float, form: str) -> str:
    if np.isnan(value):
        return "nothing untouched"
    return format(value, form) if value >= least else f"**{value:{form}}, missed**"


def _exactly(best: float) -> str:
    return "" if np.isnan(best) else f" ({best:.1f})"


def table(model: VideoModel, scenes: list[int]) -> Iterator[str]:
    """Lines of Markdown, a family each."""
    heads = [f"scene {scene}: {what}" for scene in scenes for what in ("gain", "most", "untouched kept")]
    yield f"| style | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for family in Family:
        found = [measure(model, scene, family) for scene in scenes]
        cells = [
            cell
            for gain, most, kept, best in found
            for cell in (_cell(gain, LEAST, "+.1f"), f"{most:+.1f}", f"{_cell(kept, KEPT, '.1f')}{_exactly(best)}")
        ]
        yield f"| {family} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, and put the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="920,921", help="seeds, with commas")
    parser.add_argument("--page", type=Path, default=Path("docs/quality.md"), help="a page with the marks")
    given = parser.parse_args()
    lines = table(load_model("tiny", device="cpu"), [int(scene) for scene in given.scenes.split(",")])
    fill_page(given.page, "tools/guided_detail.py", "\n".join(lines))


if __name__ == "__main__":
    main()
