"""Every widget on a small computed case, and what those cases are made of: for the tests and for docs/img/widgets."""

import base64
import io
import json
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from flowedit import widgets
from flowedit.correction import Exact, correct, residual
from flowedit.flow import euler_step, interpolate
from flowedit.schedule import wan_sigmas
from flowedit.trace import StepTrace, Trace
from flowedit.widgets._base import FlowWidget

KEYFRAMES = (0, 16, 32)
RECORDED = Path(__file__).parent / "recorded"
"""Events of `flowedit style clip.mp4 --style watercolour --target-fps 2`, its pictures encoded anew as WebP."""

_RETURN = np.array([0.95, 0.8, 0.6]).reshape(-1, 1, 1, 1)
"""Share by which the field returns to the source at each keyframe: 1 would forget every push but the last."""
_WARM = np.array([[0.95, 0.35, 0.05], [0.25, 0.75, 0.10], [0.10, 0.25, 0.60]])


def scene(num_frames: int = 33, height: int = 96, width: int = 160) -> np.ndarray:
    """A disc that crosses a drifting gradient, uint8 (num_frames, height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width] / height
    frames = []
    for t in np.linspace(0, 1, num_frames):
        ground = np.stack([0.25 + 0.35 * y, 0.45 + 0.25 * np.sin(4 * (x + t)), 0.75 - 0.3 * y], axis=-1)
        distance = np.hypot(x - (0.2 + 0.6 * t) * width / height, y - 0.5 - 0.2 * math.sin(2 * math.pi * t))
        cover = np.clip((0.2 - distance) * 48 + 0.5, 0, 1)[..., None]
        frames.append(ground * (1 - cover) + np.array([0.95, 0.85, 0.3]) * cover)
    return np.round(255 * np.clip(frames, 0, 1)).astype(np.uint8)


def demo_clip(num_frames: int = 33, height: int = 96, width: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A scene and its recolouring by one matrix, both uint8 (num_frames, height, width, 3)."""
    source = scene(num_frames, height, width)
    return source, np.round(np.clip(source @ _WARM.T, 0, 255)).astype(np.uint8)


def decode_frame(clip: dict, index: int) -> np.ndarray:
    """The frame that a browser shows for `index`: the inverse of `encode_clip`, with its loss."""
    part = next(part for part in reversed(clip["sheets"]) if part["start"] <= index)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(part["data"]))).convert("RGB"))
    top = (index - part["start"]) * clip["cell"][1]
    return picture[top : top + clip["cell"][1]]


def run_trace(alpha: float = 10.0, steps: int = 20) -> Trace:
    """The correction on a linear field: every reading comes out of the package's own functions, none is made up."""
    rng = np.random.default_rng(0)
    noise, source, change = rng.standard_normal((3, len(KEYFRAMES), 4, 12, 20))
    styled = source + np.array([0.5, 1.0, 0.7]).reshape(-1, 1, 1, 1) * change
    sigmas = wan_sigmas(steps)
    trace = Trace(keyframes=KEYFRAMES, slots=(0, 4, 8), method="linear field", alpha=alpha)
    x_main, x_key = interpolate(source, noise, sigmas[0]), interpolate(styled, noise, sigmas[0])
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        dt = sigma - sigma_next
        data = _RETURN * source + (1 - _RETURN) * (x_main - sigma * noise) / max(1 - sigma, 0.05)
        v_main, v_key = (x_main - data) / sigma, noise - styled
        z_diff, v_diff, r = residual(x_main, x_key, v_main, v_key, dt)
        kappa = Exact(alpha)(dt)
        v_main, v_key = correct(v_main, v_key, r, kappa / dt)
        x_main, x_key = (euler_step(x, v, sigma, sigma_next) for x, v in ((x_main, v_main), (x_key, v_key)))
        gap = np.divide(_rms(x_main - x_key), _rms(source - styled))
        norms = {"r_k_norm": _rms(r), "v_diff_norm": _rms(v_diff), "z_diff_norm": _rms(z_diff), "gap_norm": gap}
        readings = {name: tuple(map(float, values)) for name, values in norms.items()}
        trace.steps.append(StepTrace(step=step, sigma=sigma, sigma_next=sigma_next, kappa=float(kappa), **readings))
    return trace


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt((values**2).mean(axis=(1, 2, 3)))


def alpha_run(alpha: float) -> tuple[float, np.ndarray, Trace, dict[str, float]]:
    """A run as `AlphaExplorer` takes it: each frame is kept back by the final gap of its nearest keyframe."""
    source, edited = demo_clip()
    trace = run_trace(alpha)
    nearest = np.abs(np.arange(len(source))[:, None] - KEYFRAMES).argmin(axis=1)
    gap = np.array(trace.steps[-1].gap_norm)[nearest][:, None, None, None]
    frames = np.round(np.clip(edited + (source.astype(float) - edited) * gap, 0, 255)).astype(np.uint8)
    return alpha, frames, trace, {"change from source": float(np.abs(frames - source.astype(float)).mean())}


def slow_run(alpha: float) -> Iterator[tuple[int, int]]:
    """`alpha_run` as a computation that says how far it is."""
    yield 1, 2
    return alpha_run(alpha)


def _agent_trace() -> FlowWidget:
    events = json.loads((RECORDED / "agent.json").read_text(encoding="utf-8"))["events"]
    return widgets.AgentTrace(events, folder=RECORDED, position=10, note="recorded, painted offline")


def _alpha_explorer() -> FlowWidget:
    runs = [alpha_run(alpha) for alpha in (0.0, 1.0, 3.0, 10.0, 30.0)]
    return widgets.AlphaExplorer(runs, source=demo_clip()[0], compute=slow_run, alpha=3.0, index=16, note="closed form")


def _compare_grid() -> FlowWidget:
    source, exact = demo_clip()
    clips = {
        "source": source,
        "exact": exact,
        "half strength": (exact / 2 + source / 2).astype(np.uint8),
        "one frame late": np.concatenate([exact[:1], exact[:-1]]),
        "eight levels a channel": (exact // 32 * 32 + 16).astype(np.uint8),
    }

    def scores(clip: np.ndarray) -> dict[str, float]:
        error = clip.astype(float) - exact
        flicker = float(np.abs(np.diff(error.mean(axis=(1, 2)), axis=0)).mean())
        return {"PSNR, dB": 10 * math.log10(255**2 / float((error**2).mean())), "flicker": flicker}

    return widgets.CompareGrid(
        [(name, clip, {} if name == "exact" else scores(clip)) for name, clip in clips.items()],
        better={"PSNR, dB": "high", "flicker": "low"},
        references=("source", "exact"),
        keyframes=KEYFRAMES,
        sort=["PSNR, dB", "down"],
        index=8,
        note="computed scene",
    )


def _keyframe_gallery() -> FlowWidget:
    source, exact = demo_clip()
    pairs = [(source[i], exact[i], i, {"structure": 0.9, "reasons": ["Too pale."] * (i == 32)}) for i in KEYFRAMES]
    said = {"0": {"action": "approve", "reason": ""}, "32": {"action": "redo", "reason": "stronger colours"}}
    return widgets.KeyframeGallery(pairs, decisions=said, note="computed scene")


def _run_panel() -> FlowWidget:
    source, edited = demo_clip()

    def work() -> Iterator[SimpleNamespace]:
        for step in run_trace(steps=12).steps:
            yield SimpleNamespace(trace=step, share=(step.step + 1) / 12)

    def look(step: SimpleNamespace) -> np.ndarray:
        return (source[::4] * (1 - step.share) + edited[::4] * step.share).astype(np.uint8)

    panel = widgets.RunPanel(work, total=12, preview=look, heading="A run", note="closed form")
    panel.run()
    return panel


EXAMPLES: dict[str, Callable[[], FlowWidget]] = {
    "AgentTrace": _agent_trace,
    "AlphaExplorer": _alpha_explorer,
    "CompareGrid": _compare_grid,
    "CoupledStage": lambda: widgets.CoupledStage(strips=scene(8, 64, 320), strips_name="computed scenes"),
    "EnvCard": widgets.EnvCard,
    "FlowField2D": lambda: widgets.FlowField2D(scene="clusters", mode="edit", solver="heun", steps=20, at=12, pick=7),
    "FrameScrubber": lambda: widgets.FrameScrubber(
        dict(zip(("source", "edited"), demo_clip(), strict=True)), keyframes=KEYFRAMES, index=16, note="computed scene"
    ),
    "GapExplorer": lambda: widgets.GapExplorer(steps=20, alpha=10.0, gain="euler", spread=0.5),
    "KeyframeGallery": _keyframe_gallery,
    "ResidualInspector": lambda: widgets.ResidualInspector(run_trace(), note="closed form"),
    "RunPanel": _run_panel,
    "SlotMap": lambda: widgets.SlotMap(frames=scene(33), keyframes=(0, 14, 16, 32), index=14, note="computed scene"),
}
"""One of every widget, by name."""


def grainy_clip(num_frames=81, height=272, width=480, seed=0):
    """A textured picture panned under fresh grain: the worst that a short clip can be, uint8 (F, H, W, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height + 3 * num_frames, width + 4 * num_frames, 3))
    for size in (64, 16, 4):
        rows, columns = (-(-length // size) for length in picture.shape[:2])
        blocks = rng.normal(0, 8 * size**0.4, (rows, columns, 3))
        picture += np.kron(blocks, np.ones((size, size, 1)))[: picture.shape[0], : picture.shape[1]]
    moved = [picture[3 * i : 3 * i + height, 4 * i : 4 * i + width] for i in range(num_frames)]
    grain = rng.normal(0, 3, (num_frames, height, width, 3))
    return np.clip(np.stack(moved) + 128 + grain, 0, 255).astype(np.uint8)
