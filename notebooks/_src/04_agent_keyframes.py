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
# [03](03_frames_latents_keyframes.ipynb) explains where keyframes sit; words are in the
# [glossary](glossary.md), symbols in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# **Three questions.**
#
# 1. A painter repaints all 33 frames of a clip one by one, each by itself. The clip will flicker. By what factor
#    more than the source: 2, 4, or more?
# 2. Four keyframes are painted and one comes back with its red and blue exchanged. Can a program tell, if it has
#    never seen the style before?
# 3. You run the same graph twice. Are the keyframes the same, or only alike?

# %% tags=["predict"]
lessons.predict("04", "", "", "")

# %% tags=["see", "keep_output"]
import numpy as np
from flowedit.lessons import material
clip, painters, real = material.film("coffee"), material.painters(), material.film("coffee", size=(288, 432), frames=1)
pictures = {"source": real.frames} | {name: paint_all(real.frames) for name, paint_all in painters.items()}
for fold in range(2):
    some = list(pictures)[4 * fold : 4 * fold + 4]
    fig, axes = lessons.contact({"": [pictures[name][0] for name in some]}, range(4))
    for ax, name in zip(axes[0], some):
        ax.set_title(name, fontsize=9, loc="center")
    lessons.show(fig, "One frame of a real clip, as it is or painted offline: " + ", ".join(some))

# %% [markdown] tags=["see"]
# **What you should see.** One frame of a real clip, and the same frame in every look that the package paints by itself,
# without a model or a key. Some are plain filters of the picture; others have paper, brushes and pencils, and those
# are hard to keep still over a clip.

# %% [markdown] tags=["idea"]
# ## The graph
#
# Editing starts from a few *styled keyframes*. An agent makes them; it is a graph of eight nodes:
#
# `sample → select_keyframes → analyze_style → plan → style_keyframe (in parallel) → judge → approve → export`
#
# Two of its edges go back. `judge` sends a keyframe that lost the scene's contours, or disagrees with the others, to be
# painted again, with the reasons. `approve` asks a person, who may do the same.
#
# One idea makes keyframes agree: the style is measured **once**, into a *style card* that all of them share. The judge
# then looks for pixels that have the same colour in the source, and measures how far their styled colours lie
# apart, in units of CIE Lab. No ideal result is needed for that.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
import tempfile
from flowedit.agent.run import style_video
from flowedit.agent.sample import frames_source
from flowedit.agent.settings import StyleSettings
here = tempfile.mkdtemp()
settings = StyleSettings(style="watercolour", backend="offline", target_fps=3.0, max_frames=4)
result = style_video(frames_source(clip.frames, fps=25), settings, f"{here}/first")
scores = {row["index"]: row["verdict"] for row in result.metadata["keyframes"]}
print(result.status, "keyframes at frames", result.indices, "paid:", result.usage.usd, "USD")

# %% tags=["see"]
from flowedit.widgets import KeyframeGallery
def row(i, image):
    numbers = ("structure", "disagreement", "change")
    return clip.frames[i], image, i, {name: round(scores[i][name], 2) for name in numbers}
rows = [row(i, image) for i, image in zip(result.indices, result.images)]
KeyframeGallery(rows, heading="Painted offline")

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
# *flicker* is the mean change from frame to frame, divided by the source's. In both, 1 means no
# more than the source has.
#
# The table also says: where a look is a plain filter, such as *comic* here, painting every frame is a fine answer, and no
# editing model is needed. The method of this package is for looks that you can have only in a few frames: painted by
# hand, or by an image model.

# %% tags=["code"]
from flowedit.agent.events import read_record
from flowedit.agent.judge import change_ratio
from flowedit.agent.painting import analyse, paint
from flowedit.agent.stylers import LOOKS
from flowedit.lessons.scoring import movement
sources = [clip.frames[i] for i in result.indices]
def painted(name, alone, frames=range(33)):
    shared = analyse(sources, LOOKS[name], None)
    cards = [analyse([clip.frames[k]], LOOKS[name], None) if alone else shared for k in frames]
    return np.stack([paint(clip.frames[k], card, k if alone else 0, 1.0) for k, card in zip(frames, cards)])

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
near, table = range(14, 19), {}
own = movement(clip.frames[14:19])
print("look         agreement  flicker: one card  each alone")
for name in painters:
    agreement = change_ratio(sources, painted(name, False, result.indices))
    one, each = (movement(painted(name, alone, near)) / own for alone in (False, True))
    table[name] = agreement, one, each
    print(f"{name:12} {agreement:9.1f} {one:18.1f} {each:11.1f}")

# %% tags=["proof"]
for name, (agreement, one, each) in table.items():
    plain = name in ("anime", "comic", "neon")  # functions of the single picture
    assert agreement < 1.5, name
    assert each < 1.2 * one if plain else each > 1.5 * one, (name, one, each)

# %% tags=["see", "keep_output"]
rows = {"source": clip.frames, "one card": painted("watercolour", False), "each alone": painted("watercolour", True)}
strips = {f"{name} ({movement(video) / movement(clip.frames):.1f})": video for name, video in rows.items()}
for name in ("one card", "each alone"):
    change = np.abs(np.diff(rows[name].astype(int), axis=0))
    strips[f"Δ {name}"] = (3 * change.clip(0, 85)).astype(np.uint8)
fig, axes = lessons.contact(strips, range(14, 18), wide=True)
lessons.show(fig, "Four neighbouring frames of the source, painted with one card, and painted each alone, with their "
             "flicker: " + ", ".join(strips) + "; below, what changes to the next frame")

# %% [markdown] tags=["see"]
# **What you should see.** Neighbouring frames, flicker in brackets, and below them (Δ) what changes from each frame to
# the next, three times as bright. With one card the paper and the colours stay, and only the edges of what moves light
# up. With each frame painted alone the whole picture lights up at every frame: paper and colours jump,
# several times more than the scene itself moves.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.1: the odd one out
#
# *Difficulty ●●●○○ · 8 minutes.* Write a judge. It sees source frames and their paintings, both lists of `uint8`
# pictures (h, w, 3), and has never seen the style. A painting *changes* the mean colour of its picture by three numbers,
# painted minus source. Return the position of the painting whose change lies farthest from the median of all changes.
#
# <details><summary>Hint 1</summary>One row of three numbers per painting: the mean over height and width of the
# painting, minus that of its source.</details>
# <details><summary>Hint 2</summary>np.median(changes, axis=0) is the median, np.linalg.norm(..., axis=1) the length of
# each row, and np.argmax the position of the largest.</details>

# %% tags=["stub"]
def odd_one_out(sources, paintings):
    """Return the position of the painting that disagrees most with the others."""
    raise NotImplementedError("Exercise 4.1")

# %% tags=["check"]
lessons.check("4.1", odd_one_out)

# %% tags=["solution"]
def odd_one_out(sources, paintings):
    """Return the position of the painting that disagrees most with the others."""
    means = [[np.mean(image, axis=(0, 1)) for image in images] for images in (sources, paintings)]
    changes = np.subtract(means[1], means[0])
    return int(np.linalg.norm(changes - np.median(changes, axis=0), axis=1).argmax())

# %% [markdown] tags=["idea"]
# ## A careless painter
#
# Who paints, who judges and who plans are *parts*: methods of one object that is handed to the graph. We replace the
# painter by one that exchanges red and blue in one frame, the first time only. Everything else is as before.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.agent.parts import OfflineParts
class Careless(OfflineParts):
    def style(self, image, master, task, event):
        good = super().style(image, master, task, event)
        spoilt = task["index"] == result.indices[2] and task["attempt"] == 0
        return good[..., ::-1].copy() if spoilt else good
style_video(frames_source(clip.frames, fps=25), settings, f"{here}/second", parts=Careless(settings))
record = read_record(f"{here}/second")
again = [e.keyframe for e in record.events if e.node == "style_keyframe" and e.values.get("attempt", 0) > 0]
print("painted again:", again)

# %% tags=["proof"]
assert again == [result.indices[2]]

# %% tags=["see"]
from flowedit.widgets import AgentTrace
AgentTrace([event.model_dump() for event in record.events], folder=f"{here}/second", note="run here, offline")

# %% [markdown] tags=["see"]
# **What you should see.** The run, node by node: step through it with the arrow keys. `style_keyframe` runs four times,
# then `judge` rejects, `style_keyframe` runs again for the rejected frame with the reasons, and the second `judge` lets
# all of them pass.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from dataclasses import replace
third = style_video(frames_source(clip.frames, fps=25), settings, f"{here}/third")
same = all(np.array_equal(a, b) for a, b in zip(result.images, third.images))
print("the same keyframes, to the last bit:", same)
auto = replace(settings, backend="auto", max_frames=2)
with_key = style_video(frames_source(clip.frames, fps=25), auto, f"{here}/fourth")
by = sorted({row["by"] for row in with_key.metadata["keyframes"]})
print("painted by:", by)

# %% tags=["proof"]
assert same
assert len(by) == 1

# %% tags=["predict"]
lessons.recall("04")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Keyframes agree because one style card serves all of them, and because a judge measures whether they do.
# - Rejected keyframes go back with reasons; what is still rejected after that is shown to a person, and marked.
# - The last cell used `backend="auto"`: with a Gemini key in Colab's secrets or in the environment variable
#   `GOOGLE_API_KEY`, *the same graph* has Gemini read the style, paint and give a second opinion. The key is never
#   written to disk.
#
# **Answers to the predictions.** (1) The printed figures: no more than the source for a plain filter, several times more
# for paint. (2) Yes: it only has to compare pixels that were alike before. (3) The same, to the last bit; answers of a
# model are kept in the run's folder, so a run that is repeated there costs nothing.
#
# **What breaks it.** A style whose colours *should* differ between keyframes, such as a sunset: the judge will object,
# and a person has to overrule it.
#
# **Next:** [05 · A full edit on the small Wan](05_full_edit.ipynb).
