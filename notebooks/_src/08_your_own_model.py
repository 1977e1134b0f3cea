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
# # 08 · Your own model
#
# {{badges}}
#
# **You will learn** to *write* the port through which the editing loop sees a model, to *check* what must hold, and to
# *break* each property on purpose.
#
# **You need** lesson [01](01_math_verification.ipynb), lesson [03](03_frames_latents_keyframes.ipynb) and a little
# PyTorch. Words are in the [glossary](glossary.md), symbols in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# The editing loop never imports a vendor. It knows a model by five methods: `encode`, `decode`, `prepare`, `velocity`
# and `after_step`.
#
# **A question.** Which of these mistakes would the loop *not* notice by itself, but let spoil the result: (1) a velocity
# with the wrong sign, (2) a decoder that returns one frame too few, (3) an encoder that looks at future frames?

# %% tags=["predict"]
lessons.predict("08", "")

# %% [markdown] tags=["idea"]
# ## A model in forty lines
#
# Our second model shares nothing with Wan. Its autoencoder is a plain average: 8 by 8 pixels, and over the group of four
# frames that a latent slot stands for. Its velocity is that of a *point mass* (lesson 02): it knows one single clip, the
# one it was told to show, and heads straight for it from wherever it is:
#
# $$v(x, \sigma) = \frac{x - c}{\sigma}$$
#
# Real models differ in what they know, not in what the loop asks of them. The clip $c$ is taken from the keyframe
# images of the condition: each slot shows the nearest one.

# %% tags=["code"]
import numpy as np, torch
from einops import rearrange, repeat
from flowedit.frames import slot_of
from flowedit.model import to_pixels
def encode(self, video):
    first = repeat(video[:, :, :1], "b c 1 h w -> b c 4 h w")
    grouped = torch.cat([first, video[:, :, 1:]], dim=2)
    return grouped.unfold(2, 4, 4).mean(-1).unfold(3, 8, 8).unfold(4, 8, 8).mean((-2, -1))

# %% tags=["code"]
def decode(self, latents):
    big = repeat(latents, "b c f h w -> b c (f four) (h a) (w d)", four=4, a=8, d=8)
    return big[:, :, 3:]
def prepare(self, condition):
    if not condition.images:
        return None
    pictures = {slot_of(i): self.encode(to_pixels(image[None])) for i, image in condition.images.items()}
    near = [min(pictures, key=lambda k: abs(k - slot)) for slot in range(slot_of(condition.shape.num_frames - 1) + 1)]
    return torch.cat([pictures[k] for k in near], dim=2)

# %% [markdown] tags=["exercise"]
# ### Exercise 8.1: the velocity
#
# *Difficulty ●●○○○ · 6 minutes.* Write the velocity of the point mass. `prepared` is the clip $c$, or None where the
# model was told nothing: then it heads for grey, which is 0. `position_ids` gives the slot of each latent frame.
#
# <details><summary>Hint 1</summary>Latents and clip have axes (b, c, f, h, w); position_ids picks frames of the clip
# along the third.</details>
# <details><summary>Hint 2</summary>At σ = 1 the velocity of x is x - c. At smaller σ the same distance is left to be
# covered in less time.</details>

# %% tags=["stub"]
def velocity(self, latents, sigma, prepared, position_ids):
    """Return the velocity at each latent, in the shape of latents."""
    raise NotImplementedError("Exercise 8.1")

# %% tags=["check"]
lessons.check("8.1", velocity)

# %% tags=["solution"]
def velocity(self, latents, sigma, prepared, position_ids):
    """Return the velocity at each latent, in the shape of latents."""
    clip = torch.zeros_like(latents) if prepared is None else prepared[:, :, list(position_ids)]
    return (latents - clip) / sigma

# %% [markdown] tags=["idea"]
# ## The contract
#
# A class with these members *is* a `VideoModel`; it need not inherit. What must hold beyond the names:
#
# - `4n + 1` frames become `n + 1` latents, and decode to `4n + 1` frames again;
# - a latent never depends on later frames (the slot map of lesson 03 says so);
# - the velocity has the shape of its latents and is finite, and leads *from* data *to* noise;
# - the same call gives the same answer.
#
# `check_model` tries them. The package's own velocity is used below, so that the cells work before you have
# solved the exercise.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.lessons import material
from flowedit.lessons.contract import check_model, point_velocity
from flowedit.model import VideoModel
members = dict(name="average", size_multiple=8, encode=encode, decode=decode, prepare=prepare, velocity=point_velocity,
               after_step=lambda self, latents, sigma, prepared: latents)
model = type("Average", (), members)()
print("is a VideoModel:", isinstance(model, VideoModel))
print(*check_model(model), sep="\n")

# %% tags=["proof"]
assert len(check_model(model)) == 6 and all(line.startswith("holds") for line in check_model(model))

# %% [markdown] tags=["idea"]
# ## Six mistakes, one for each property
#
# A contract is worth what it refuses. Below is a model that breaks the first property, one that breaks the second, and so
# on. The cell prints which property each of them breaks, and whether the editing loop stops. Where it says nothing of the
# loop, the loop runs through and hands you a spoilt clip.

# %% tags=["code"]
from flowedit.edit import steps as editing
from flowedit.methods.branches import rms_per_slot
mistakes = {
    "a latent too few": dict(encode=lambda self, video: encode(self, video)[:, :, 1:]),
    "a frame too few": dict(decode=lambda self, latents: decode(self, latents)[:, :, 1:]),
    "looks ahead": dict(encode=lambda self, video: encode(self, video.flip(2)).flip(2)),
    "infinite": dict(velocity=lambda self, x, sigma, *a: point_velocity(self, x, sigma, *a) / (sigma > 0.6)),
    "wrong sign": dict(velocity=lambda self, *a: -point_velocity(self, *a)),
    "rolls dice": dict(velocity=lambda self, *a: point_velocity(self, *a) + torch.rand(()) / 99),
}

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.settings import EditSettings
clip, settings = material.clip(), EditSettings(method="coupled", steps=12, shift=3.0)
for name, wrong in mistakes.items():
    bad = type("Wrong", (), members | wrong)()
    print(f"{name}:", *[line for line in check_model(bad) if line.startswith("FAILS")], sep="\n   contract ")
    try:
        editing.edit_video(clip.frames, clip.keyframes(), bad, settings)
    except Exception as error:
        print(f"   the loop stops, {type(error).__name__}")

# %% tags=["proof"]
properties = [line.partition(": ")[2] for line in check_model(model)]
for (name, wrong), aimed in zip(mistakes.items(), properties, strict=True):
    found = check_model(type("Wrong", (), members | wrong)())
    assert any(line.startswith(f"FAILS: {aimed}") for line in found), name

# %% [markdown] tags=["idea"]
# ## The law, with your model
#
# Everything of lessons 01 and 03 now runs with your model: the same loop, correction and trace. This model knows nothing
# about motion, so do not expect a good edit. Expect one that obeys the law, $gap_{next} = (1 - \kappa)\,r$, at every
# step.
#
# Where the model is *told* the keyframes this is easy: it heads for them by itself. So we also run it *told nothing*,
# when it heads for grey. In a third run its `after_step` shrinks the latents by a tenth, behind the back of the
# correction. The gap is read from the latents that each step leaves, the residual before it from the trace.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
def gaps(model, sees):
    ready = editing.prepare(clip.frames, clip.keyframes(), model, settings.with_(conditioning=sees))
    at, steps = list(ready.problem.slots), list(editing.edit_steps(ready))
    left = np.array([rms_per_slot(step.x_main[:, :, at] - step.x_key) for step in steps])
    return left, ready.trace.array("r_k_norm"), np.array([[step.trace.kappa] for step in steps])
pulls = type("Pulls", (), members | dict(after_step=lambda self, latents, *rest: 0.9 * latents))()
runs = {"told": gaps(model, "i2v"), "told nothing": gaps(model, "none"), "pulled": gaps(pulls, "none")}
for name, (left, r, kappa) in runs.items():
    print(f"{name}: the gap is (1 - kappa) r to 1e-6:", np.allclose(left, (1 - kappa) * r, 0, 1e-6))

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=3, height=3.0)
for ax, (name, (left, r, kappa)) in zip(axes, runs.items()):
    ax.plot(r.mean(axis=1), color="0.54", label="r: gap with no correction")
    ax.plot(((1 - kappa) * r).mean(axis=1), "-", color="C0", label="law: (1 − κ) r")
    ax.plot(left.mean(axis=1), "o", color="C1", ms=4, label="gap that the step leaves")
    off = np.abs(left - (1 - kappa) * r).max()
    ax.set(title=f"{name}: off by {off:.1g}", xlabel="step", xticks=range(0, 12, 3), ylim=(0, 1.1 * r.max()))
axes[0].legend(fontsize=8)
lessons.show(fig)

# %% tags=["proof"]
law = {name: bool(np.allclose(left, (1 - kappa) * r, 0, 1e-6)) for name, (left, r, kappa) in runs.items()}
assert law == {"told": True, "told nothing": True, "pulled": False}

# %% [markdown] tags=["see"]
# **What you should see.** Means over the three keyframes. In the first two panels the dots lie on the line of the law,
# below the grey residual: falling where the model was told the keyframes, rising where it heads for grey. In the third
# they leave the line: a model that moves the latents after the correction breaks the law, and the comparison notices.

# %% tags=["see"]
from flowedit.widgets import Column, FrameScrubber, ResidualInspector
result = editing.edit_video(clip.frames, clip.keyframes(), model, settings)
Column([FrameScrubber({"source": clip.frames, "edited by the average": result.frames}, keyframes=(0, 16, 32)),
        ResidualInspector(result.trace)])

# %% [markdown] tags=["see"]
# **What you should see.** Above, the source and an edit in blocks of 8 by 8 pixels: the change that this coarse
# autoencoder can express, laid on the sharp source. Below, the readings of each step at the three keyframes; the gap
# falls to almost nothing because this model's own clip *is* the keyframes.

# %% tags=["see", "keep_output"]
fig, axes = lessons.contact({"source": clip.frames, "edited": result.frames}, range(0, 33, 8), marks=(0, 16, 32))
lessons.show(fig, "Five frames of the source and of the edit by the averaging model: changes are blocks of 8 pixels")

# %% [markdown] tags=["see"]
# **What you should see.** Five frames of each. At the keyframes the edit has their colours; between them this model
# shows the nearest keyframe, standing still: a ghost of the shapes where they no longer are. Knowing how things move
# is what a video model is for.

# %% tags=["predict"]
lessons.recall("08")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A model is five methods. The loop, the noise, the residual and the correction are the package's.
# - The contract can be checked without looking at a picture. Each of its six properties was broken here, and each break
#   was caught.
# - Any model obeys the gap law of lesson 01 at every step, unless it moves the latents by itself; a picture shows what a
#   real model must know beyond that.
#
# **Answer to the prediction.** The loop itself notices shapes that do not fit and values that are not finite. (1) A wrong
# sign runs through and leads away from the data; (2) a missing frame is noticed when frames are joined; (3) looking
# ahead runs through. The contract finds all three.
#
# **What breaks it.** A velocity in units of the timestep (0 to 1000) instead of $\sigma$; latents that are not
# normalised; a frame rule that is not `4n + 1`.
#
# **Next:** you have seen everything. Edit a clip of your own in [00 · Start here](00_start_here.ipynb).
