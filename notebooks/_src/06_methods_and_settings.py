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
# # 06 · Which method, which settings
#
# {{badges}}
#
# **You will learn** to *compare* methods where the right answer is known, to *read* a table with its losing rows, and to
# *choose* settings from data instead of habit.
#
# **You need** lesson [05](05_full_edit.ipynb). The words are in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# We restyle computed scenes, so the exact edit of *every* frame is known. Two conditions: keyframes that are
# **exact**, and keyframes that **disagree**, each a little off in colour, contrast and line, as image models give them.
#
# **Write down two answers.** Order these by nearness to the exact edit, far from the keyframes: (a) a colour map
# fitted on the keyframes, (b) the keyframes carried along by optical flow, (c) every frame styled by itself, (d) this
# package's default. Once for each condition.

# %% [markdown] tags=["idea"]
# ## A fair comparison
#
# A fair table has rows that cost nothing: the source untouched, a colour map, optical flow. It has the row that
# everybody asks for, *every frame by itself*. It measures where nobody painted, *far* from the keyframes (4 frames or
# more), and it measures flicker, because a mean over frames does not see it. PSNR is
#
# $$10\,\log_{10} \frac{255^2}{mean\,(edit - truth)^2}$$
#
# in dB: 3 dB more is half the squared error. The rows below are the benchmark's own, called on two of its scenes.
# `flowedit bench quality` computes the whole table.

# %% tags=["code"]
from flowedit.bench.cases import Condition, own_case, under
from flowedit.bench.rows import ROWS
from flowedit.bench.score import score
names = ("source", "colour map", "propagation", "per-frame styling", "default")
model, scenes = lessons.small_model(), {scene: own_case(scene) for scene in (2, 5)}
edits, scores = {}, {}
for scene, condition, name in ((s, c, n) for s in scenes for c in ("exact", "disagreeing") for n in names):
    case = under(scenes[scene], Condition(condition))
    edits[scene, condition, name] = ROWS[name](case, model)
    scores[scene, condition, name] = score(case, edits[scene, condition, name])

# %% tags=["see"]
from flowedit.widgets import CompareGrid
case, shown = under(scenes[2], Condition.DISAGREEING), ("psnr_far", "psnr_key", "flicker", "edges")
rows = [("truth", case.truth, {name: float("nan") for name in shown})]
rows += [(name, edits[2, "disagreeing", name], {k: scores[2, "disagreeing", name][k] for k in shown}) for name in names]
CompareGrid(rows, references=("truth", "source"), keyframes=(0, 16, 32), note="live, small model",
            better={"psnr_far": "high", "psnr_key": "high", "flicker": "low", "edges": "high"})

# %% [markdown] tags=["see"]
# **What you should see.** All rows as clips in step, with their figures; a click on a column sorts. Play it and look at
# *per-frame styling*: its single frames are good and the clip is not, and its flicker says so.

# %% tags=["see", "keep_output"]
import numpy as np
fig, axes = lessons.figure(columns=2, height=3.4, sharex=True, sharey=True)
for ax, condition in zip(axes, ("exact", "disagreeing")):
    far = [np.mean([scores[s, condition, n]["psnr_far"] for s in scenes]) for n in names]
    ax.barh(names, far, color=[lessons.COLOURS["orange" if f == max(far) else "blue"] for f in far])
    for row, value in enumerate(far):
        ax.text(value + 0.3, row, f"{value:.1f}", va="center", fontsize=8)
    ax.set(title=f"Keyframes {condition}", xlabel="dB far from keyframes, two scenes")
lessons.show(fig, "Nearness to the exact edit far from the keyframes, by method: " + "; ".join(
    f"{n} {np.mean([scores[s, 'disagreeing', n]['psnr_far'] for s in scenes]):.1f} dB disagreeing" for n in names))

# %% [markdown] tags=["see"]
# **What you should see.** Two bars per method, exact and disagreeing keyframes; the best is orange. Two scenes prove
# little: they show how the table is made. Note where a row without any model wins, and use it there.

# %% [markdown] tags=["exercise"]
# ### Exercise 6.1: far from the keyframes
#
# *Difficulty ●●○○○ · 5 minutes.* Return the frames (0 to `count - 1`) whose nearest keyframe is at least `distance`
# frames away.
#
# <details><summary>Hint 1</summary>For one frame i: the smallest of |i - k| over all keyframes k.</details>
# <details><summary>Hint 2</summary>At least: a frame exactly that far away counts.</details>

# %% tags=["stub"]
def far_frames(count, keyframes, distance):
    """Return the list of frames at least distance away from every keyframe."""
    raise NotImplementedError("Exercise 6.1")

# %% tags=["check"]
lessons.check("6.1", far_frames)

# %% tags=["solution"]
def far_frames(count, keyframes, distance):
    """Return the list of frames at least distance away from every keyframe."""
    return [i for i in range(count) if min(abs(i - k) for k in keyframes) >= distance]

# %% [markdown] tags=["idea"]
# ## Strength, from data
#
# `strength` says how far up the noise the edit starts: near 0 the model may only polish the starting clip, near 1 it may
# replace everything. There is no best value for all clips; there is a curve, and it is cheap to draw for yours.

# %% tags=["see", "keep_output"]
from flowedit.config import EditSettings
from flowedit.editor import edit_video
from flowedit.metrics import psnr
clip, strengths = under(scenes[5], Condition.DISAGREEING), (0.1, 0.4, 0.8)
settings, far = EditSettings(prompt=clip.caption, steps=6, shift=3.0), [i for i in range(33) if i % 16 in range(4, 13)]
edits = [edit_video(clip.frames, clip.keyframes, model, settings.with_(strength=s)).frames for s in strengths]
fig, ax = lessons.figure(height=2.6)
ax.plot(strengths, [psnr(frames, clip.truth)[far].mean() for frames in edits], marker="o")
ax.set(xlabel="strength", ylabel="dB far from keyframes", title="One clip, keyframes disagree, source as start")
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Nearness to the exact edit against strength, on one clip and started from the source. Where
# the line is highest is where this clip wants to be; draw it for yours before you believe a default.

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Compare where the answer is known, keep the losing rows, and look at flicker beside nearness.
# - Exact keyframes on clean scenes are the home of the classical rows; disagreement is where a model can earn its cost.
# - Settings are measured, not believed.
#
# **Your predictions.** The figure has the order for these two scenes. With exact keyframes the classical rows are hard
# to beat; when keyframes disagree, carrying them along carries their quarrel along.
#
# **What breaks it.** A benchmark whose truth comes from the method's own model; a mean that hides flicker; tuning on
# the scenes that are reported.
#
# **Next:** [07 · Full WAN editing](07_full_wan.ipynb).
