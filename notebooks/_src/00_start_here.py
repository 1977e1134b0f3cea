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
# # 00 · Start here
#
# {{badges}}
#
# **You will learn** to *look* into an edit that was recorded, to *run* one yourself in a minute, and to *decide*
# whether your clip needs this method at all.
#
# **You need** nothing: no account, no key, no GPU. Words and symbols are in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# You have a clip of 33 frames and repaint **three** of them by hand. A program is to carry your painting to the other
# 30.
#
# **Write down two answers.** (1) Your three paintings do not agree: one came out warmer, one darker. What should the
# program do at the frames in between? (2) When would it be better *not* to use a video model at all?

# %% tags=["see"]
from flowedit.widgets import EnvCard
EnvCard()

# %% [markdown] tags=["see"]
# **What you should see.** A row of lights: kernel, JavaScript, and the way there and back. All green means that every
# widget of the lessons works here. If one is red, the card says what to do, and its report can be copied.

# %% [markdown] tags=["idea"]
# ## What this is about
#
# A *flow-matching* video model turns noise into video in small steps. **Keyframe-guided editing** lets a few painted
# frames steer these steps: the source clip and the keyframes are given the *same* noise, and at each step the clip is
# pulled towards the keyframes:
#
# $$v \leftarrow v + \frac{\kappa}{dt}\,r$$
#
# where $r$ is the gap that the next step would leave. Lesson 01 proves what that does; here we look.
#
# The edit below was **recorded**: an agent painted the keyframes, and the small Wan that comes with this package (a real
# Wan model, only small) made the rest with the preset `method`, step by step as above.

# %% tags=["see"]
from flowedit.widgets import FrameScrubber, ResidualInspector
from flowedit.lessons.record import recorded
edit = recorded()
FrameScrubber(edit.clips, keyframes=edit.indices, note=edit.note, heading="A recorded edit")

# %% [markdown] tags=["see"]
# **What you should see.** Source and edit in step. Scrub with the arrow keys, play with the space bar, jump between
# keyframes with `[` and `]`, and compare by wipe or difference. It is all in your browser: it works with no
# kernel.

# %% tags=["see"]
ResidualInspector(edit.trace, note=edit.note)

# %% [markdown] tags=["see"]
# **What you should see.** One cell per step and keyframe: how large the residual was. Lesson 05 explains how to read
# it, and why a small residual is not yet a good edit.

# %% [markdown] tags=["idea"]
# ## Why not filter every frame?
#
# If your style is a *filter*, a plain function of the picture such as sepia, do filter every frame: it is exact and
# takes no model. If your keyframes agree, a *colour map* fitted on them may be all you need; the package has both.
#
# The method is for what is left: a style that exists only in the frames that were painted, by hand or by an image model.
# Two paintings never agree, and painting every frame means 33 that do not. Below, the same three hand-painted
# keyframes, which disagree on purpose, in three ways. The edit is the preset `default`: it makes a classical *estimate*
# of the whole clip from the keyframes, and the small Wan refines it in one step, *without* the correction above.

# %% tags=["see"]
import mediapy
from flowedit.lessons import material
clip, model = material.clip(), material.small_model()
keyframes = clip.painted(0, 16, 32)
mediapy.show_images({f"painted frame {key.index}": key.image for key in keyframes}, height=160)

# %% [markdown] tags=["see"]
# **What you should see.** Three frames of one clip, painted by one unsteady hand: the middle one came out yellower, and
# lines miss their place by a pixel or two.

# %% tags=["code", "keep_output"]
import numpy as np, time
from flowedit.edit.steps import edit_video
from flowedit.presets import preset_settings
settings, begun = preset_settings("tiny", "default", prompt=clip.prompt), time.process_time()
result = edit_video(clip.frames, keyframes, model, settings)
print(material.what_ran(settings))
print(f"a live edit of {len(result.frames)} frames took {time.process_time() - begun:.0f} s of processor time")
mapped = edit_video(clip.frames, keyframes, model, preset_settings("tiny", "default", method="colour-map")).frames
painted = np.stack([key.image for key in clip.painted(*range(33))])
rows = {"source": clip.frames, "each painted": painted, "colour map": mapped, "edit": result.frames}

# %% tags=["see", "keep_output"]
jump = {name: np.abs(np.diff(video.astype(float), axis=0)).mean() for name, video in rows.items()}
named = {f"{name} ({jump[name] / jump['source']:.1f})": video for name, video in rows.items()}
fig, axes = lessons.contact(named, range(13, 20), marks=(16,))
lessons.show(fig, "Frames 13 to 19; flicker relative to the source: " + ", ".join(
    f"{name} {value / jump['source']:.1f}" for name, value in jump.items()))
assert jump["each painted"] > 5 * jump["source"] and max(jump["colour map"], jump["edit"]) < 3 * jump["source"]

# %% [markdown] tags=["see"]
# **What you should see.** In brackets, how much each row changes from frame to frame, in units of the source. Painted
# one by one the clip jumps at every frame. The colour map is steady, and knows colours only: lines that were painted
# are lost. The edit carries the painting and stays near the source's own motion.

# %% tags=["see", "keep_output"]
fig, ax = lessons.figure(height=2.6)
for (name, video), marker in zip(rows.items(), "sov^"):
    change = np.abs(np.diff(video.astype(float), axis=0)).mean(axis=(1, 2, 3))
    ax.plot(range(1, 33), change, marker=marker, markevery=4, label=f"{name}: {jump[name] / jump['source']:.1f}")
ax.set(xlabel="frame", ylabel="levels of 255", title="How much each frame differs from the one before (measured)")
ax.legend(fontsize=8, title="mean, in units of the source", ncols=2)
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** This is why not every frame is simply painted by itself. The source, the colour map and the
# edit lie together at the bottom: what changes there is mostly motion. Each frame painted by itself lies far above them
# at every frame: what changes there is the painter's hand, and on a screen that is flicker.

# %% [markdown] tags=["exercise"]
# ### Exercise 0.1: a legal clip
#
# *Difficulty ●○○○○ · 3 minutes.* Wan models take `4n + 1` frames. From a clip of `count` frames, return how many of
# its first frames can be used at most.
#
# <details><summary>Hint 1</summary>33 is legal; 34, 35 and 36 have to give up some frames.</details>
# <details><summary>Hint 2</summary>Without the first frame there must be whole groups of four.</details>

# %% tags=["stub"]
def usable(count):
    """Return the largest legal number of frames that is not above count."""
    raise NotImplementedError("Exercise 0.1")

# %% tags=["check"]
lessons.check("0.1", usable)

# %% tags=["solution"]
def usable(count):
    """Return the largest legal number of frames that is not above count."""
    return (count - 1) // 4 * 4 + 1

# %% [markdown] tags=["idea"]
# ## Your own clip
#
# Choose a video and the frames to paint. You can take the frames out, paint on them in any program, and bring them
# back. What does not fit (a wrong size, two keyframes in one slot) is said at once. Then run the last cell.

# %% tags=["see"]
from flowedit.widgets import ClipPicker
picker = ClipPicker()
picker

# %% [markdown] tags=["see"]
# **What you should see.** A form: a video to choose, its frames on the slot map, a place for painted pictures. With
# nothing chosen, the next cell shows the edit from above.

# %% tags=["see"]
mine = result
if picker.ready:
    mine = edit_video(picker.value.frames, picker.value.keyframes, model, preset_settings("tiny", "default"))
print(material.what_ran(mine.settings))
FrameScrubber({"source": mine.source, "edited": mine.frames}, keyframes=[key.index for key in mine.keyframes],
              fps=picker.fps, note="live, small model")

# %% [markdown] tags=["see"]
# **What you should see.** Your clip and its edit in step. The small model works at about 128 by 128 pixels; lesson 07
# does the same with the large ones.

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A few painted frames steer a video model, step by step.
# - A plain filter or a colour map is the better answer where it can express your style.
# - Everything you saw can be repeated: settings, readings and timings are kept with each edit.
#
# **Your predictions.** (1) Blend what the two neighbours say, and let the model make one picture of it, instead of
# jumping from one to the other. (2) When the style is a function of the single picture, or of its colours.
#
# **What breaks it.** Keyframes of another size than the clip; two in one latent slot; a cut inside the clip.
#
# **Next:** [01 · Math verification](01_math_verification.ipynb).
