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
# **Write down three answers.** (1) Order these by nearness to the exact edit, far from the keyframes: (a) a colour map
# fitted on the keyframes, (b) the keyframes carried along by optical flow, (c) every frame painted by itself, (d) this
# package's default. (2) For which kind of style does (a) win outright? (3) How much of (d) is the model's own work?

# %% [markdown] tags=["idea"]
# ## A fair comparison
#
# A fair table has rows that need no model: the source untouched, a colour map, optical flow, and the classical *estimate*
# that the default's model refines. It has the row that everybody asks for, *each painted* by itself. It measures where
# nobody painted, *far* from the keyframes (4 frames or more), and it measures *flicker*, because a mean over frames does
# not see it: the mean change from frame to frame, divided by that of the exact edit. PSNR is
#
# $$10\,\log_{10} \frac{255^2}{mean\,(edit - truth)^2}$$
#
# in dB: 3 dB more is half the squared error, and 40 is the most that is counted, so rows beyond it tie. The rows run here
# on two clips: sepia is a plain change of colours, given exact keyframes; comic draws lines, and its keyframes were
# painted by an unsteady hand.

# %% tags=["code"]
import numpy as np
from flowedit.edit.steps import edit_video
from flowedit.lessons import material, scoring
from flowedit.presets import preset_settings
model, at = material.small_model(), (0, 16)
sepia, comic = material.clip(0, "sepia", frames=17), material.clip(8, "comic", frames=17)
cases = {"sepia, exact": (sepia, sepia.keyframes(*at)), "comic, painted": (comic, comic.painted(*at))}
def edited(case, **changes):
    clip, keyframes = cases[case]
    return edit_video(clip.frames, keyframes, model, preset_settings("tiny", prompt=clip.prompt, **changes)).frames

# %% tags=["code", "keep_output"]
edits, scores = {}, {}
for case, (clip, _) in cases.items():
    edits[case] = {"source": clip.frames, "colour map": edited(case, method="colour-map"),
                   "optical flow": edited(case, method="propagation"),
                   "each painted": np.stack([key.image for key in clip.painted(*range(17))]),
                   "estimate": edited(case, method="estimate"), "default": edited(case)}
    scores[case] = {name: scoring.score(clip, at, frames) for name, frames in edits[case].items()}
print("default:", material.what_ran(preset_settings("tiny")))

# %% tags=["see"]
from flowedit.widgets import CompareGrid
rows = [("truth", comic.truth, dict.fromkeys(scores["comic, painted"]["default"], float("nan")))]
rows += [(name, frames, scores["comic, painted"][name]) for name, frames in edits["comic, painted"].items()]
CompareGrid(rows, references=("truth", "source"), keyframes=at, note="live, small model",
            better={"psnr_far": "high", "psnr_key": "high", "flicker": "low", "edges": "high"})

# %% [markdown] tags=["see"]
# **What you should see.** All rows as clips in step, with their figures; a click on a column sorts. Play it and look at
# *each painted*: its single frames are good and the clip is not, and `flicker` says so.

# %% tags=["see", "keep_output"]
(fig, axes), said = lessons.figure(columns=2, height=2.6, sharex=True, sharey=True), []
for ax, (case, rows) in zip(axes, scores.items()):
    far = {name: figures["psnr_far"] for name, figures in rows.items()}
    best = max(far.values()) - 0.05
    colours = [lessons.COLOURS["orange" if value > best else "blue"] for value in far.values()]
    bars = ax.barh(list(far), far.values(), color=colours)
    ax.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    ax.set(title=f"{case} keyframes", xlabel="dB far from keyframes (small model)", xlim=(0, 48))
    said.append(f"{case}: " + ", ".join(f"{name} {value:.1f} dB" for name, value in far.items()))
lessons.show(fig, "; ".join(said))

# %% [markdown] tags=["see"]
# **What you should see.** Nearness to the exact edit; the best of each panel are orange. Left, a style that is a
# plain change of colours, and keyframes that agree: the colour map *is* the answer, and nothing can beat it; the rows
# that begin with one tie with it. Right, a style with lines, and keyframes that disagree: a colour map knows no
# lines. Two clips prove little: they show how the table is made.

# %% [markdown] tags=["idea"]
# ## Why not filter every frame?
#
# Where the style is a function of the picture, do: the left panel above says so. Where it is not, a painter or an image
# model makes each frame a little different (*each painted*). Every single frame is then as good as a keyframe, and the
# clip boils.

# %% tags=["see", "keep_output"]
named = {f"{name} ({scores['comic, painted'][name]['flicker']:.1f})": edits["comic, painted"][name]
         for name in ("each painted", "colour map", "default")}
fig, axes = lessons.contact({**named, "exact edit (1.0)": comic.truth}, range(4, 12))
lessons.show(fig, "Frames 4 to 11, flicker in brackets: " + ", ".join(named))

# %% [markdown] tags=["see"]
# **What you should see.** Eight neighbouring frames, flicker in brackets. In the first row brightness and tint jump from
# each frame to the next; the colour map is steady, but its lines are not the painted ones; the default is steady and
# has them.

# %% [markdown] tags=["idea"]
# ## The whole table
#
# Two clips are an anecdote. The package carries the means that `python -m benchmarks quality` found on many scenes that
# no training has seen, with every row, the losing ones too: the methods, each part of `method` changed at a time, and the
# default with its keyframes hidden or exchanged. Each dot is a mean over the styles that are *not* a plain change of
# colours; the line through it is the interval that resampling the scenes gives (95 of 100 samples).
#
# The printed lines pair the default with each other row on the same scenes. Look at its gain over *estimate*: that row is
# the estimate alone, the default with the model switched off, so that gain is what the model is worth. It is far less
# than the gain over the colour map, and its interval does not reach 0.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
table = scoring.recorded_rows()
rows = sorted(table, key=lambda name: table[name]["exact"].far)
print(f"{len(rows)} rows; gain of the default over each, in dB, with exact and with disagreeing keyframes")
for name in rows[::-1]:
    exact, disagreeing = (table[name][kind].gain for kind in ("exact", "disagreeing"))
    print("{:34} {:+6.2f} [{:+6.2f}, {:+6.2f}]   {:+6.2f} [{:+6.2f}, {:+6.2f}]".format(name, *exact, *disagreeing))

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=2, height=0.8 + 0.19 * len(rows), sharey=True)
for ax, kind in zip(axes, ("exact", "disagreeing")):
    mean, low, high = np.array([table[name][kind].far for name in rows]).T
    ax.errorbar(mean, rows, xerr=(mean - low, high - mean), fmt="o", capsize=3)
    ax.plot(mean.max(), rows[mean.argmax()], "o", ms=9, color=lessons.COLOURS["orange"])
    ax.set(title=f"keyframes {kind}", xlabel="dB far from keyframes (recorded)", ylim=(-0.8, len(rows) - 0.2))
    ax.tick_params(axis="y", labelsize=7)
lessons.show(fig, "; ".join(f"{kind}: " + ", ".join(f"{name} {table[name][kind].far[0]:.1f}" for name in rows[::-1])
                            for kind in ("exact", "disagreeing")))

# %% [markdown] tags=["see"]
# **What you should see.** All rows of the recorded table, the best in orange. *Ceiling* is the exact edit through the
# autoencoder: no edit whose frames are decoded from latents can beat it, and the default is above it with exact keyframes
# because it decodes only its *change* of the estimate. Between two dots that are close only the paired gains printed
# above can decide: they compare scene by scene.

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
# replace everything. The default's model is shown a good estimate, so it needs little. There is no best value for all
# clips; there is a curve, and it is cheap to draw for yours.

# %% tags=["see", "keep_output"]
def far(frames):
    return scoring.score(comic, at, frames)["psnr_far"]
strengths = {preset_settings("tiny").strength: far(edits["comic, painted"]["default"])}
for strength in (0.25, 0.6):
    strengths[strength] = far(edited("comic, painted", strength=strength))
fig, ax = lessons.figure(height=2.4)
ax.plot(list(strengths), list(strengths.values()), marker="o", label="one step of the model")
ax.axhline(far(edits["comic, painted"]["estimate"]), color="grey", linestyle="--", label="the estimate alone")
ax.set(xlabel="strength", ylabel="dB far from keyframes", title="One clip, keyframes disagree (small model)")
ax.legend(); lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Nearness to the exact edit against strength, on one clip; the dashed line is the estimate that
# the model is shown. Where the line is highest is where this clip wants to be, and below the dashed line the model does
# harm. Draw it for your clip before you believe a default.

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Compare where the answer is known, keep the losing rows, and look at flicker beside nearness.
# - A style that is a plain change of colours needs a colour map, and no model.
# - A mean of many scenes needs an interval, and two close rows need pairs.
#
# **Your predictions.** (1) The first figure has the order for two clips, the table the one for many. (2) For a change of
# colours that is the same everywhere, with keyframes that agree. (3) The gain over *estimate* in the printed table.
#
# **What breaks it.** A benchmark whose truth comes from the method's own model; a mean that hides flicker; tuning on
# the scenes that are reported.
#
# **Next:** [07 · Full WAN editing](07_full_wan.ipynb).
