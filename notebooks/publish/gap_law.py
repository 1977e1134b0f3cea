"""The gap law of docs/method.md: the package's loop against closed forms, and the law on the shipped model."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.worlds import SMALL_SIZE, own_case
from flowedit.correction import Euler, Exact, Gain
from flowedit.edit.steps import edit_steps, prepare
from flowedit.errors import UnusualSettingWarning
from flowedit.keyframes import Keyframe
from flowedit.lessons.look import COLOURS
from flowedit.methods.branches import EditProblem, rms_per_slot
from flowedit.methods.coupled import coupled
from flowedit.model import VideoModel
from flowedit.models import load_model
from flowedit.schedule import wan_sigmas
from flowedit.settings import EditSettings

STEPS = 20
ALPHAS = (0.0, 3.0, 10.0, 20.0)
SCENE = 11
LINES = (("blue", "-", "o"), ("orange", "--", "s"), ("green", "-.", "^"), ("purple", ":", "D"))


def gap_law() -> Figure:
    """The gap after every step, loop against closed form, and the law on the shipped model."""
    fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.4))
    sigmas = wan_sigmas(STEPS)
    for ax, (name, gain_of) in zip(axes, {"exact": Exact, "euler": Euler}.items(), strict=False):
        for alpha, (colour, dash, marker) in zip(ALPHAS, LINES, strict=True):
            gain = gain_of(alpha)
            steps = np.arange(1, STEPS + 1)
            ax.plot(steps, np.abs(ideal_gaps(sigmas, gain)), color=COLOURS[colour], linestyle=dash, linewidth=1.2)
            ax.plot(
                steps,
                loop_gaps(sigmas, gain),
                color=COLOURS[colour],
                linestyle="",
                marker=marker,
                label=rf"$\alpha={alpha:g}$",
            )
        ax.set(title=f"gain={name!r}", xlabel="step", ylim=(-0.05, 3.4 if name == "euler" else 1.05))
    axes[0].set_ylabel("gap, 1 = nothing carried over")
    axes[0].legend(fontsize=9, ncols=2, columnspacing=0.8, handletextpad=0.1)
    axes[1].text(1, 3.3, "marks: the package's loop\nlines: closed form", fontsize=9, va="top")
    _law_on_the_model(axes[2])
    return fig


def ideal_problem(sigmas: Sequence[float], gain: Gain) -> EditProblem:
    """A clip of three slots whose velocity always leads to the source itself, and one keyframe."""
    generator = torch.Generator().manual_seed(0)
    source, keys, noise = (torch.randn((1, 4, n, 2, 2), generator=generator, dtype=torch.float64) for n in (3, 1, 3))

    def field(x: torch.Tensor, x_key: torch.Tensor, sigma: float) -> torch.Tensor:
        del x_key
        return (x - source) / sigma

    return EditProblem(
        source=source,
        keys=keys,
        source_keys=source[:, :, 1:2],
        slots=(1,),
        noise=noise,
        sigmas=tuple(sigmas),
        gain=gain,
        beta=0.0,
        v_target=field,
        v_source=field,
        hook=lambda latents, sigma: latents,
    )


def loop_gaps(sigmas: Sequence[float], gain: Gain) -> list[float]:
    """That clip's gap after every step of the package's own loop, over the difference of source and keyframe."""
    problem = ideal_problem(sigmas, gain)
    whole = rms_per_slot(problem.source[:, :, [1]] - problem.keys)[0]
    return [rms_per_slot(state.x_main[:, :, [1]] - state.x_key)[0] / whole for state in coupled(problem)]


def ideal_gaps(sigmas: Sequence[float], gain: Gain) -> list[float]:
    """Closed form of that clip's gap after every step, over the difference of source and keyframe."""
    gap, gaps = 1 - sigmas[0], []
    for sigma, sigma_next in pairwise(sigmas):
        kept = sigma_next / sigma
        gap = (1 - gain(sigma - sigma_next)) * (kept * gap + (1 - kept))
        gaps.append(gap)
    return gaps


def _law_on_the_model(ax: Axes) -> None:
    """Gap after a step over the residual before it, on the shipped model, against the law."""
    case = own_case(SCENE, size=SMALL_SIZE)
    frames, keyframes = case.frames[:9], [Keyframe(i, case.truth[i]) for i in (0, 8)]
    model, worst = load_model("tiny"), 0.0
    for beta, (colour, *_) in zip((0.0, 0.5, 1.0), LINES, strict=False):
        for method, marker in (("coupled", "o"), ("difference", "^")):
            readings = _readings(frames, keyframes, model, _settings(method, beta))
            worst = max(worst, float(np.abs(readings.gap - np.abs(1 - readings.share) * readings.r).max()))
            label = rf"{method}, $\beta={beta:g}$"
            ax.plot(
                readings.share,
                readings.gap / readings.r,
                marker,
                color=COLOURS[colour],
                fillstyle="none",
                linestyle="",
                label=label,
            )
    total = np.linspace(0, 2.2, 100)
    ax.plot(total, np.abs(1 - total), color=COLOURS["ink"], linestyle="-", linewidth=1, zorder=0)
    ax.set(title="On the small model", xlabel=r"$\kappa\,(1+\beta)$", ylabel="gap after / residual before")
    ax.set(xlim=(0, 2.2), ylim=(-0.05, 2.35))
    ax.legend(fontsize=8, title=f"line: the law; gaps off by {worst:.0e} at most", title_fontsize=8, loc="upper center")


def _settings(method: str, beta: float) -> EditSettings:
    """A correction in the literal form, which reaches every share."""
    return EditSettings.of(method=method, alpha=4.0, beta=beta, gain="euler", steps=8, shift=3.0)


class _Readings(NamedTuple):
    """Of each step and keyframe: total share of the correction, gap after and residual before, of the difference."""

    share: np.ndarray
    gap: np.ndarray
    r: np.ndarray


def _readings(
    frames: np.ndarray, keyframes: Sequence[Keyframe], model: VideoModel, settings: EditSettings
) -> _Readings:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusualSettingWarning)
        prepared = prepare(frames, keyframes, model, settings)
    problem = prepared.problem
    scale = np.array(rms_per_slot(problem.source[:, :, list(problem.slots)] - problem.keys))
    traces = [step.trace for step in edit_steps(prepared)]
    shares = np.array([[trace.kappa * (1 + problem.beta)] * len(keyframes) for trace in traces])
    gaps, residuals = (np.array([getattr(t, name) for t in traces]) for name in ("gap_norm", "r_k_norm"))
    return _Readings(shares.ravel(), gaps.ravel(), (residuals / scale).ravel())
