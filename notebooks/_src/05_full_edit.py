# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # 05 · A full edit on the small Wan
#
# {{badges}}
#
# **You will learn** to *run* an edit step by step, to *read* its residuals, and to *choose* alpha and beta by what
# they do to the picture.
#
# **You need** lessons [01](01_math_verification.ipynb) and [03](03_frames_latents_keyframes.ipynb). The words are in the
# [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# A rule of thumb says that an edit is good when the residual `r_k_norm` stays below 0.01.
#
# **Write down three answers.** (1) Will `r_k_norm` fall during a run, or rise? (2) Does an edit *without* any
# correction break the rule from the first step on? (3) With a ten times larger alpha, does `r_k_norm` get ten times
# smaller?

# %% [markdown] tags=["idea"]
# ## One loop
#
# An edit has three parts, and you can stand between them. `prepare` encodes the clip, the keyframes and the words once.
# `edit_steps` is a generator: it yields after every step, so progress, a preview or a stop are a plain `for` around it.
# `finish` decodes.
#
# We use the method of lesson 01 as it stands: source and keyframes are noised with one noise, denoised together, and
# at every step the correction pulls the clip's slots towards the keyframes.

# %% tags=["code"]
from flowedit.config import EditSettings
from flowedit.editor import edit_steps, edit_video, finish, prepare
clip, model = lessons.clip(), lessons.small_model()
settings = EditSettings(method="coupled", prompt=clip.prompt, conditioning="i2v", keyframe_encoding="hold",
                        detail="residual", alpha=10.0, steps=12, shift=3.0, strength=0.7)
prepared = prepare(clip.frames, clip.keyframes(), model, settings)
for step in edit_steps(prepared):
    print(step.trace.line())
result = finish(prepared, step.latents)

# %% tags=["see"]
from flowedit.widgets import FrameScrubber, ResidualInspector
from ipywidgets import VBox
inspector = ResidualInspector(result.trace)
VBox([FrameScrubber({"source": clip.frames, "edited": result.frames, "exact edit": clip.truth}, keyframes=(0, 16, 32),
                    note="live, small model"), inspector])

# %% [markdown] tags=["see"]
# **What you should see.** Above, three clips in step: source, edit, exact answer. Below, a map of the readings, step by
# keyframe. Switch between `r_k`, `v_diff`, Δv and the gap; a line marks the rule of thumb, 0.01.

# %% [markdown] tags=["idea"]
# ## Which figure to read
#
# Because both branches share one noise, their gap is hidden at first: $(1-\sigma)\,D$ is small while $\sigma$ is near
# 1. So `r_k_norm` starts near 0 **whatever you do**, and grows as the noise goes. A small value at the start says
# nothing.
#
# `gap_norm` is the gap *after* each step, divided by the difference between source and keyframe. 1 means that
# nothing was carried over; 0 means that the clip is on the keyframe. It is the figure to read, at the end.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
plain = edit_video(clip.frames, clip.keyframes(), model, settings.with_(alpha=0.0))
runs = {"corrected": result, "not corrected": plain}
for name, run in runs.items():
    r_k = run.trace.array("r_k_norm").mean(axis=1)
    print(f"{name}: r_k_norm rises from the first step to its largest:", r_k[0] < r_k.max() / 2)
gaps = {name: run.trace.final_gap() for name, run in runs.items()}
print("the correction leaves a smaller gap:", gaps["corrected"] < gaps["not corrected"] / 2)

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=2, height=3.0)
for ax, reading, title in zip(axes, ("r_k_norm", "gap_norm"), ("r_k_norm: grows anyway", "gap_norm: what is left")):
    for (name, run), marker in zip(runs.items(), "o^"):
        values = run.trace.array(reading).mean(axis=1)
        ax.plot(run.trace.sigmas, values, marker=marker, label=f"{name}, at the end {values[-1]:.3f}")
    ax.set(xlim=(run.trace.sigmas[0], 0), xlabel="noise level σ", title=title)
    ax.legend(fontsize=8)
axes[0].axhline(0.01, color=lessons.COLOURS["grey"], lw=1)
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Left, both runs start under the grey line of the rule of thumb and leave it, the good run as
# well. Right, the corrected run ends far below the other.

# %% [markdown] tags=["exercise"]
# ### Exercise 5.1: the relative gap
#
# *Difficulty ●●○○○ · 6 minutes.* Write `gap_norm`: from the branches after a step and the clean latents of source and
# keyframe, all arrays (c, h, w) of one slot, return the rms of what is left over the rms of the whole difference.
# Where source and keyframe are equal there is nothing to close: return 0.
#
# <details><summary>Hint 1</summary>The root mean square of an array a is np.sqrt(np.mean(a**2)).</details>
# <details><summary>Hint 2</summary>Divide by the difference of the clean latents, not by the keyframe itself.</details>

# %% tags=["stub"]
def relative_gap(x_main, x_key, source, key):
    """Return the gap after the step as a share of the difference, a number."""
    raise NotImplementedError("Exercise 5.1")

# %% tags=["check"]
lessons.check("5.1", relative_gap)

# %% tags=["solution"]
def relative_gap(x_main, x_key, source, key):
    """Return the gap after the step as a share of the difference, a number."""
    whole = np.sqrt(np.mean((source - key) ** 2))
    return np.sqrt(np.mean((x_main - x_key) ** 2)) / whole if whole > 0 else 0.0

# %% tags=["code", "keep_output"]
import numpy as np
from flowedit.metrics import keyframe_flicker, psnr
grid, at = [], [0, 16, 32]
for alpha in (0.0, 2.0, 5.0, 10.0, 20.0):
    run = edit_video(clip.frames, clip.keyframes(), model, settings.with_(alpha=alpha, steps=8))
    quality = psnr(run.frames, clip.truth)
    figures = {"at keyframes (dB)": quality[at].mean(), "others (dB)": np.delete(quality, at).mean(),
               "flicker": keyframe_flicker(run.frames, clip.truth, at), "gap": run.trace.final_gap()}
    grid.append((alpha, run.frames, run.trace, {name: float(value) for name, value in figures.items()}))

# %% tags=["see"]
from flowedit.widgets import AlphaExplorer
AlphaExplorer(grid, source=clip.frames, note="live, small model",
              compute=lambda alpha: (alpha, (run := edit_video(clip.frames, clip.keyframes(), model, settings.with_(
                  alpha=alpha, steps=8))).frames, run.trace, {"gap": run.trace.final_gap()}))

# %% [markdown] tags=["see"]
# **What you should see.** Move over five values of alpha: frames, figures and residuals change at once, because all
# five were computed. Watch the keyframes' slots and their neighbours: with alpha they come nearer to the painting, and
# the step to the frames around them grows. A value in between can be asked of the kernel.

# %% tags=["see", "keep_output"]
fig, axes = lessons.contact({f"alpha {alpha:g}": frames for alpha, frames, _, _ in grid[::2]} | {"exact": clip.truth},
                            (0, 4, 8, 12, 16, 20), marks=(0, 16, 32))
lessons.show(fig, "Frames 0 to 20 of edits with alpha 0, 5 and 20 and of the exact edit. " + "; ".join(
    f"alpha {alpha:g}: gap {figures['gap']:.2f}" for alpha, _, _, figures in grid[::2]))

# %% [markdown] tags=["see"]
# **What you should see.** Rows of growing alpha and the exact edit. Without correction the model alone must carry the
# style; with a large alpha the keyframes' own slots are exact and the question is how well their neighbours follow.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
for beta in (0.0, 1.0):
    prepared = prepare(clip.frames, clip.keyframes(), model, settings.with_(beta=beta, steps=8))
    *_, last = edit_steps(prepared)
    off = (last.x_key - prepared.problem.keys).square().mean().sqrt().item()
    print(f"beta {beta}: the keyframe branch ends on the keyframes: {off < 1e-4}; gap to the clip under 5 %:",
          prepared.trace.final_gap() < 0.05)

# %% [markdown] tags=["recap"]
# ## Recap
#
# - An edit is a loop that you can watch, stop and repeat.
# - `gap_norm` at the end says how much of the keyframes arrived. `r_k_norm < 0.01` is a rule of thumb, and misleads at
#   both ends of a run.
# - Alpha trades nearness to the keyframes against smoothness around them; beta lets the keyframe branch come to meet the
#   clip, and gives up exactness *on* the keyframe.
#
# **Your predictions.** (1) It rises. (2) No: it starts under the line with no correction at all. (3) No: `r_k_norm` is
# taken *before* the correction, and each step's new gap does not depend on alpha alone.
#
# **What breaks it.** The literal gain on long steps (lesson 01); a `still` keyframe in a later slot (lesson 03);
# keyframes that do not agree (lesson 04): the correction carries their quarrel into the clip.
#
# **Now your own clip:** the last cells of [00 · Start here](00_start_here.ipynb) take any video, and so does the
# command line: `flowedit edit`. **Next:** [06 · Which method, which settings](06_methods_and_settings.ipynb).
