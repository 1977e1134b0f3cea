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
# **You will learn** to *look* inside a recorded edit, to *run* one yourself in a minute, and to *decide*
# whether your clip needs this method at all.
#
# **You need** nothing: no account, no key, no GPU. Words are in the [glossary](glossary.md), symbols in
# the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# You have a clip of 33 frames and repaint **three** of them by hand. A program has to carry your painting over to
# the other 30.
#
# **Two questions.** (1) Your three paintings do not agree: one came out warmer, one darker. What should the program do
# at the frames in between? (2) When would it be better *not* to use a video model at all? Type your answers below; they
# come back at the end.

# %% tags=["predict"]
lessons.predict("00", "", "")

# %% tags=["see"]
from flowedit.widgets import EnvCard
EnvCard()

# %% [markdown] tags=["see"]
# **What you should see.** A row of lights: the kernel, and what this machine has. All green means that every widget of
# the lessons works here. If one is red, the card says what to do. After *Run All* the first light waits until the other
# cells are done.

# %% [markdown] tags=["idea"]
# ## What this is about
#
# A *flow-matching* video model turns noise into video in small steps. **Keyframe-guided editing** lets a few painted
# frames steer these steps: the source clip and the keyframes are given the *same* noise, and at each step the clip is
# pulled towards the keyframes:
#
# $$v \leftarrow v + \frac{\kappa}{dt}\,r$$
#
# where $v$ is the model's velocity, $r$ the gap that the next step would leave, and $\kappa$ the share of it that is
# taken away. Lesson 01 shows what that does; here we look.
#
# The edit below was **recorded**: an agent painted the keyframes, and the small Wan that comes with this package (a real
# Wan model, only small) made the other frames, step by step as above. The cell prints which method ran.

# %% tags=["see"]
from flowedit.lessons import material
from flowedit.lessons.record import recorded
from flowedit.widgets import FrameScrubber
edit = recorded()
print(material.what_ran(edit.settings))
FrameScrubber({"source": edit.source, "edited": edit.frames}, keyframes=[key.index for key in edit.keyframes],
              note=edit.note, heading="A recorded edit")

# %% [markdown] tags=["see"]
# **What you should see.** Source and edit, playing in step. Scrub with the arrow keys, play with the space bar, jump
# between keyframes with `[` and `]`, and compare them by wiping or by their difference. All of it runs in your browser
# and works without a kernel.

# %% [markdown] tags=["idea"]
# ## Why not filter every frame?
#
# If your style is a *filter*, a plain function of the picture such as sepia, then do filter every frame: it is exact
# and takes no model. If your keyframes agree, a *colour map* fitted to them may be all you need. The package has both.
#
# The method is for what is left: a style that exists only in the frames that were painted, by hand or by an image model.
# Two paintings never agree, and if you paint all 33 frames, no two of them do. Below, three keyframes of a real clip,
# painted by an unsteady hand, are carried over in several ways. The edit is the preset `default`: it makes a classical
# *estimate* of the whole clip from the keyframes, with no learned model, and the small Wan refines it in one step,
# *without* the correction above. Lesson 06 shows what each part is worth.

# %% tags=["see"]
import mediapy
clip, model = material.film("coffee"), material.small_model()
keyframes = clip.painted(0, 16, 32)
mediapy.show_images({f"painted frame {key.index}": key.image for key in keyframes}, height=160)

# %% [markdown] tags=["see"]
# **What you should see.** Three frames of one clip, painted by one unsteady hand: each came out in another light and
# tint, and lines miss their place by a pixel or two.

# %% tags=["code", "keep_output"]
import numpy as np
from flowedit.edit.steps import edit_video
from flowedit.presets import preset_settings
settings = preset_settings("tiny", "default")
result = edit_video(clip.frames, keyframes, model, settings)
print(material.what_ran(settings))
mapped = edit_video(clip.frames, keyframes, model, preset_settings("tiny", "default", method="colour-map")).frames
painted = np.stack([key.image for key in clip.painted(*range(33))])
rows = {"source": clip.frames, "each painted": painted, "colour map": mapped, "edit": result.frames}

# %% tags=["see", "keep_output"]
from flowedit.lessons.scoring import movement
flicker = {name: movement(video) / movement(clip.frames) for name, video in rows.items()}
named = {f"{name} ({flicker[name]:.1f})": video for name, video in rows.items()}
fig, axes = lessons.contact(named, range(14, 19), marks=(16,), wide=True)
lessons.show(fig, "Frames 14 to 18 and how much each row changes from frame to frame: " + ", ".join(named))

# %% [markdown] tags=["see"]
# **What you should see.** In brackets, how much each row changes from frame to frame, in units of the source. When each
# frame is painted by itself, the clip jumps at every frame: on a screen that is flicker. The colour map is steady, but it
# knows colours only, and the painted lines are lost. The edit carries the painting and moves about as much as the source
# does.

# %% [markdown] tags=["exercise"]
# ### Exercise 0.1: measure flicker
#
# *Difficulty ●●○○○ · 5 minutes.* Write the number in the brackets: the mean change from one frame to the next, over all
# pixels and colours, divided by that of the source. Both clips are `uint8` arrays (frames, height, width, 3).
#
# <details><summary>Hint 1</summary>8-bit whole numbers cannot be negative: 3 - 5 is 254. Turn them into floats
# first.</details>
# <details><summary>Hint 2</summary>np.diff(video, axis=0) gives the differences of neighbours; take their absolute
# values before the mean.</details>

# %% tags=["stub"]
def flicker_of(video, source):
    """Return the mean change from frame to frame, in units of the source's."""
    raise NotImplementedError("Exercise 0.1")

# %% tags=["check"]
lessons.check("0.1", flicker_of)

# %% tags=["solution"]
def flicker_of(video, source):
    """Return the mean change from frame to frame, in units of the source's."""
    change, own = (np.abs(np.diff(clip.astype(float), axis=0)).mean() for clip in (video, source))
    return change / own

# %% [markdown] tags=["idea"]
# ## Your own clip
#
# The form begins with the real clip from above; upload another one if you like. Click frames on the map, choose a look
# and let it *paint* them, or take the frames out, paint on them in any program and bring them back. Anything that does
# not fit (a wrong size, two keyframes in one slot) is reported at once, and so is a cut inside the clip. Once everything
# is there, the panel at the end of the form starts the edit; the notebook stays free, and *cancel* stops it after the
# step under way.

# %% tags=["see"]
from flowedit.media.clips import shipped_clip
from flowedit.widgets import ClipPicker
print(material.what_ran(settings))
picker = ClipPicker(shipped_clip("coffee"), looks=material.painters(), panel=material.panel(settings))
picker

# %% [markdown] tags=["see"]
# **What you should see.** A form: a video to choose, its frames on the slot map, a look to paint them in, and a panel
# that runs the edit. When it is done, run the next cell; until then it shows the edit from above.

# %% tags=["see"]
mine = picker.panel.result or result
FrameScrubber({"source": mine.source, "edited": mine.frames}, keyframes=[key.index for key in mine.keyframes],
              fps=picker.fps, note="live, small model")

# %% [markdown] tags=["see"]
# **What you should see.** The clip and its edit in step, at the clip's own speed. The small model works at about 128 by
# 128 pixels; `flowedit edit` lays the change on the clip's own size, and lesson 07 does the same with the large models.

# %% tags=["predict"]
lessons.recall("00")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A few painted frames steer a video model, step by step.
# - A plain filter or a colour map is the better answer where it can express your style.
# - Everything you saw can be repeated: settings, readings and timings are kept with each edit.
#
# **Answers to the predictions.** (1) Blend what the two neighbours say, and let the model turn it into one picture,
# instead of jumping from one to the other. (2) When the style is a function of the single picture, or of its colours.
#
# **What breaks it.** Keyframes of another size than the clip; two in one latent slot; a cut inside the clip.
#
# **Next:** [01 · Math verification](01_math_verification.ipynb).
