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
# # 04 · Agent keyframe styling
#
# {{badges}}
#
# **You will learn** to *run* a graph that paints keyframes, to *measure* whether they agree, and to *follow* a
# rejected keyframe through its second attempt.
#
# **You need** no key and no account: without one the graph paints offline. Lesson
# [03](03_frames_latents_keyframes.ipynb) explains where keyframes sit; the words are in the
# [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# **Write down three answers.**
#
# 1. A painter repaints all 33 frames of a clip one by one, each by itself. The clip will flicker. By what factor
#    more than the source: 2, 4, or more?
# 2. Four keyframes are painted and one comes back with its red and blue exchanged. Can a program tell, if it has
#    never seen the style before?
# 3. You run the same graph twice. Are the keyframes the same, or only alike?

# %% [markdown] tags=["idea"]
# ## The graph
#
# Editing starts from a few *styled keyframes*. An agent makes them; it is a graph of eight nodes:
#
# `sample → select_keyframes → analyze_style → plan → style_keyframe (side by side) → judge → approve → export`
#
# Two of its edges go back. `judge` sends a keyframe that lost the scene's contours, or disagrees with the others, to be
# painted again, with the reasons. `approve` asks a person, who may do the same.
#
# One idea makes keyframes agree: the style is measured **once**, into a *style card* that all of them share. The judge
# then looks for pixels that have the same colour in the source, and measures how far their styled colours lie
# apart, in units of CIE Lab. No ideal result is needed for that.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
import tempfile, numpy as np
from flowedit.agent.run import style_video
from flowedit.agent.sample import frames_source
from flowedit.agent.settings import StyleSettings
from flowedit.lessons import material
clip, here = material.clip(), tempfile.mkdtemp()
settings = StyleSettings(style="watercolour", backend="offline", target_fps=2.0, max_frames=4)
result = style_video(frames_source(clip.frames, fps=16), settings, f"{here}/first")
scores = {row["index"]: row["verdict"] for row in result.metadata["keyframes"]}
print(result.status, "keyframes at frames", result.indices, "paid:", result.usage.usd, "USD")

# %% tags=["see"]
from flowedit.widgets import KeyframeGallery
numbers = ("structure", "disagreement", "change")
KeyframeGallery([(clip.frames[i], image, i, {name: round(scores[i][name], 2) for name in numbers})
                 for i, image in zip(result.indices, result.images)], heading="Painted offline")

# %% [markdown] tags=["see"]
# **What you should see.** Each source frame beside its painted keyframe, with three scores: *structure*, the likeness of
# contours (1 is the same); *disagreement* with the other keyframes; and *change* from the source. A person can
# approve each, or send it back with a reason.

# %% [markdown] tags=["idea"]
# ## Why not filter every frame?
#
# It is the obvious question. Here is the obvious answer, tried: the same looks, once with one shared card and seed, and
# once with each frame painted on its own, as when a filter or an image model is called frame by frame.
#
# *Agreement* compares the mean colours of small regions between all pairs of keyframes, styled divided by source;
# *flicker* is the mean change from frame to frame, divided by the source's. 1 adds nothing.
#
# Note what this also says: where a look is a plain filter, such as *comic* here, painting every frame is a fine
# answer, and no editing model is needed. The method of this package is for looks that you can have only in a
# few frames: painted by hand, or by an image model.

# %% tags=["code"]
from flowedit.agent.events import read_record
from flowedit.agent.judge import change_ratio
from flowedit.agent.painting import analyse, paint
from flowedit.agent.stylers import LOOKS
sources = [clip.frames[i] for i in result.indices]
def painted(name, alone, frames=range(33)):
    card = lambda k: analyse([clip.frames[k]] if alone else sources, LOOKS[name], None)
    return np.stack([paint(clip.frames[k], card(k), k if alone else 0, 1.0) for k in frames])
moves = lambda video: np.abs(np.diff(video.astype(float), axis=0)).mean()
flicker = lambda video, of=clip.frames: moves(video) / moves(of)

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
near = range(14, 19)
print("look         agreement  flicker: one card  each alone")
for name in (name for name in LOOKS if name != "transfer"):  # that one takes its colours from a picture
    agreement = change_ratio(sources, painted(name, False, result.indices))
    one, each = (flicker(painted(name, alone, near), clip.frames[near]) for alone in (False, True))
    print(f"{name:12} {agreement:9.1f} {one:18.1f} {each:11.1f}")
    plain = name in ("anime", "comic", "neon")  # functions of the single picture
    assert agreement < 1.5 and (each < 1.2 * one if plain else each > 2 * one), name

# %% tags=["see", "keep_output"]
rows = {"source": clip.frames, "one card": painted("watercolour", False), "each alone": painted("watercolour", True)}
change = lambda video: np.abs(np.diff(video.astype(int), axis=0)).clip(0, 85).astype(np.uint8) * 3
strips = {f"{name} ({flicker(video):.1f})": video for name, video in rows.items()}
strips |= {f"Δ {name}": change(rows[name]) for name in ("one card", "each alone")}
fig, axes = lessons.contact(strips, range(14, 22))
lessons.show(fig, "Eight neighbouring frames of the source, painted with one card, and painted each alone; below, what "
             "changes to the next frame: " + ", ".join(f"{name} {flicker(v):.1f} times" for name, v in rows.items()))
assert flicker(rows["one card"]) < 1.5 and flicker(rows["each alone"]) > 4

# %% [markdown] tags=["see"]
# **What you should see.** Neighbouring frames, flicker in brackets, and below them (Δ) what changes from each frame to
# the next, three times as bright. With one card the paper and the colours stay, and only the edges of what moves light
# up. With each frame painted alone the whole picture lights up at every frame: paper and colours jump,
# several times more than the scene itself moves.

# %% tags=["see"]
from flowedit.widgets import FrameScrubber
FrameScrubber(rows, keyframes=result.indices, fps=16, note="painted offline, no model", heading="Play it")

# %% [markdown] tags=["see"]
# **What you should see.** The three clips of the picture above, in step. Press play (or the space bar) and watch the
# paper in the third: it boils.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.1: who goes back?
#
# *Difficulty ●●○○○ · 6 minutes.* Write the decision after `judge`. `faults` maps a keyframe's frame to the number of
# things that speak against it, `attempts` to how often it was painted again (0 at first), and each may be painted
# again at most `redo` times. Return the frames to paint again, in increasing order.
#
# <details><summary>Hint 1</summary>Two conditions: something speaks against it, and it may still be repainted.</details>
# <details><summary>Hint 2</summary>With redo = 2 a keyframe may be sent back at attempt 0 and at attempt 1.</details>

# %% tags=["stub"]
def paint_again(faults, attempts, redo):
    """Return the list of frames to paint again."""
    raise NotImplementedError("Exercise 4.1")

# %% tags=["check"]
lessons.check("4.1", paint_again)

# %% tags=["solution"]
def paint_again(faults, attempts, redo):
    """Return the list of frames to paint again."""
    return sorted(i for i in faults if faults[i] > 0 and attempts[i] < redo)

# %% [markdown] tags=["idea"]
# ## A careless painter
#
# Who paints, who judges and who plans are *parts*: methods of one object that the graph is given. We replace the painter
# by one that exchanges red and blue in frame 20, the first time only. Everything else is as before.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from dataclasses import replace
from flowedit.agent.parts import OfflineParts
class Careless(OfflineParts):
    def style(self, image, master, task, event):
        good = super().style(image, master, task, event)
        return good[..., ::-1].copy() if task["index"] == 20 and task["attempt"] == 0 else good
style_video(frames_source(clip.frames, fps=16), settings, f"{here}/second", parts=Careless(settings))
record = read_record(f"{here}/second")
again = [e.keyframe for e in record.events if e.node == "style_keyframe" and e.values.get("attempt", 0) > 0]
print("painted again:", again)

# %% tags=["see"]
from flowedit.widgets import AgentTrace
AgentTrace([event.model_dump() for event in record.events], folder=f"{here}/second", note="run here, offline")

# %% [markdown] tags=["see"]
# **What you should see.** The run, node by node: step through it with the arrow keys. `style_keyframe` runs four times,
# then `judge` rejects, `style_keyframe` runs again for the rejected frame with the reasons, and the second `judge` lets
# all of them pass.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
again = style_video(frames_source(clip.frames, fps=16), settings, f"{here}/third")
same = all(map(np.array_equal, result.images, again.images))
print("the same keyframes, to the last bit:", same)
assert same
auto = replace(settings, backend="auto", max_frames=2)
with_key = style_video(frames_source(clip.frames, fps=16), auto, f"{here}/fourth")
painters = sorted({row["by"] for row in with_key.metadata["keyframes"]})
print("painted by:", painters)
assert len(painters) == 1

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Keyframes agree because one style card serves all of them, and because a judge measures whether they do.
# - Rejected keyframes go back with reasons; what is still rejected after that is shown to a person, and marked.
# - The last cell used `backend="auto"`: with a Gemini key in Colab's secrets or in the environment variable
#   `GOOGLE_API_KEY`, *the same graph* has Gemini read the style, paint and give a second opinion. Nothing is ever
#   written to disk with the key in it.
#
# **Your predictions.** (1) The printed figures: from little for a plain filter to several times for paint. (2) Yes: it
# only has to compare pixels that were alike before. (3) The same, to the last bit; answers of a model are kept in the
# run's folder, so a run that is repeated there costs nothing.
#
# **What breaks it.** A style whose colours *should* differ between keyframes, such as a sunset: the judge will object,
# and a person has to overrule it.
#
# **Next:** [05 · A full edit on the small Wan](05_full_edit.ipynb).
