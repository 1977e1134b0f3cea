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
# # 03 · Frames, latents, keyframes
#
# {{badges}}
#
# **You will learn** to *map* a video's frames to latent slots, to *encode* a keyframe so that the model is not misled,
# and to *see* the flash that a wrong encoding leaves.
#
# **You need** lesson [01](01_math_verification.ipynb). The words are in the [table of notation](notation.md). The small
# Wan that comes with the package is used: a real Wan transformer and autoencoder, only small.
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# A Wan model does not work on frames but on *latents*. 33 frames become 9 latents.
#
# **Write down three answers.** (1) You repaint frame 16. Which latent is that? (2) May you give keyframes 17 *and* 19?
# (3) You encode your painting of frame 16 as a video of one frame and put that latent in its place. What will you see
# in the result around frame 16?

# %% [markdown] tags=["idea"]
# ## Groups of 1, 4, 4, 4, ...
#
# The autoencoder is *causal*: it reads frames in order and never looks ahead. Frame 0 gets a latent of its own, and
# after it every four frames share one. So a clip has `4n + 1` frames and `n + 1` latents, and pixel frame $i$ lies in
# slot
#
# $$slot(i) = \lfloor (i + 3) / 4 \rfloor$$
#
# You need not believe it. Change one frame, encode, and look which latents have changed: the first of them is the slot.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
import numpy as np
from flowedit.model import to_pixels
from flowedit.lessons import material
clip, model, changes = material.clip(), material.small_model(), []
small = to_pixels(clip.frames[:9, 32:96, 32:96])  # (1, 3, frames, height, width), in [-1, 1]
for i in range(9):
    inverted = small.clone()
    inverted[:, :, i] *= -1
    changes.append((model.encode(inverted) - model.encode(small)).abs().amax((0, 1, 3, 4)).tolist())
print("slot found for each frame:", [int(np.argmax(np.array(change) > 1e-4)) for change in changes])

# %% tags=["see", "keep_output"]
from flowedit.frames import group_of, slot_of
fig, ax = lessons.figure(height=2.6)
picture = ax.pcolormesh(np.arange(10) - 0.5, np.arange(4) - 0.5, np.array(changes).T, cmap="cividis")
ax.step(np.arange(9), [slot_of(i) for i in range(9)], "o", where="mid", color="white", ms=4, label="(i + 3) // 4")
ax.set(xlabel="frame that was changed", ylabel="latent", title="How much each latent changes (small model, measured)")
ax.set_xticks(range(9))
ax.set_yticks(range(3))
ax.grid(visible=False)
fig.colorbar(picture, label="largest change")
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Each column is one changed frame; nothing below the white dots changes, ever: the first latent
# that notices is the slot of the formula. Later latents notice a little, because the autoencoder remembers the past.

# %% tags=["see"]
from flowedit.widgets import SlotMap
SlotMap(33, keyframes=[0, 17, 19, 32], frames=clip.frames)

# %% [markdown] tags=["see"]
# **What you should see.** The 33 frames in their 9 slots. Keyframes 17 and 19 are marked as a collision: they lie in one
# latent, and there is room for one. The last frame of a group (0, 4, 8, ...) is the natural place.

# %% [markdown] tags=["exercise"]
# ### Exercise 3.1: encode a keyframe
#
# *Difficulty ●●●○○ · 8 minutes.* A slot after the first stands for *four* frames and remembers the one before them. A
# lone picture is not what the autoencoder expects there. Write `hold`: return the frames to encode for a keyframe
# (an array F, H, W, 3), and which of the resulting latents to take.
#
# <details><summary>Hint 1</summary>For frame 0 the picture alone is right: one frame, latent 0.</details>
# <details><summary>Hint 2</summary>For any other frame hold the picture still, long enough to fill one whole group
# after a first frame.</details>

# %% tags=["stub"]
def hold(image, index):
    """Return (frames to encode, which latent to take) for a keyframe at pixel frame index."""
    raise NotImplementedError("Exercise 3.1")

# %% tags=["check"]
lessons.check("3.1", hold)

# %% tags=["solution"]
def hold(image, index):
    """Return (frames to encode, which latent to take) for a keyframe at pixel frame index."""
    count = 1 if slot_of(index) == 0 else 5
    return np.repeat(image[None], count, axis=0), slot_of(4 * (count > 1))

# %% [markdown] tags=["idea"]
# ## Three ways, measured
#
# - `still`: the picture alone, as a video of one frame.
# - `hold`: held still for its whole group, as in the exercise.
# - `delta`: the source's own latent plus the change of style, $z_{src} + hold(styled) - hold(source)$.
#
# Our clip comes with its exact edit, so we know the true latent of every slot: encode the *whole* styled clip and take
# that slot. The distance to it says how wrong each way is, in units of the spread of latents (two unrelated
# latents are $\sqrt{2}$ apart).

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.methods.encoding import encode_keyframes
from flowedit.methods.branches import rms_per_slot
source, truth = (model.encode(to_pixels(frames[:17])) for frames in (clip.frames, clip.truth))
styled, distance = clip.keyframes(0, 4, 8, 12, 16), {}
for way in ("still", "hold", "delta"):
    keys = encode_keyframes(model, styled, clip.frames, source, way)
    distance[way] = np.array(rms_per_slot(keys - truth))
    print(f"{way:6} distance to the true latent: slot 0 {distance[way][0]:.1f}, later {distance[way][1:].mean():.1f}")

# %% tags=["see", "keep_output"]
fig, ax = lessons.figure(height=2.6)
for (way, values), marker, shift in zip(distance.items(), "o^s", (-0.2, 0, 0.2)):
    ax.bar(np.arange(5) + shift, values, 0.18, label=f"{way}: {values[1:].mean():.2f} in later slots")
ax.set(xlabel="latent slot of the keyframe", ylabel="distance (rms)", title="Distance to the true latent")
ax.legend(ncols=3, loc="upper center")
ax.set_ylim(0, 1.3 * max(values.max() for values in distance.values()))
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** In slot 0 all ways are one, because that slot *is* a single picture. In every later slot the
# lone picture is far off, and holding it still brings it close.

# %% [markdown] tags=["idea"]
# ## The flash
#
# A wrong latent is not an abstract matter. The correction of lesson 01 pulls the clip onto the keyframes' latents, so
# the clip *arrives* at what they say. If a latent says something that no group of four frames would, the decoder shows
# it.
#
# We edit the first 17 frames twice, and change nothing but the encoding. The figure compares each frame with the exact
# answer, in dB: 3 dB more is half the squared error.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.settings import EditSettings
from flowedit.edit.steps import edit_video
from flowedit.metrics import psnr
settings = EditSettings(prompt=clip.prompt, conditioning="none", detail="plain", steps=6, shift=3.0, strength=0.8)
edit = lambda wanted: edit_video(clip.frames[:17], clip.keyframes(0, 8, 16), model, wanted).frames
edits = {way: edit(settings.with_(keyframe_encoding=way)) for way in ("still", "hold")}
quality = {way: psnr(frames, clip.truth[:17]) for way, frames in edits.items()}
inside = [i for slot in (2, 4) for i in group_of(slot)]
better = quality["hold"][inside].mean() > quality["still"][inside].mean()
print("holding still is better inside the keyframes' groups:", better)

# %% tags=["see", "keep_output"]
fig, ax = lessons.figure(height=2.8)
for (way, values), marker in zip(quality.items(), "o^"):
    ax.plot(values, marker=marker, label=f"{way}: {values[inside].mean():.1f} dB inside the groups")
for slot in (2, 4):
    ax.axvspan(group_of(slot)[0] - 0.5, group_of(slot)[-1] + 0.5, color=lessons.COLOURS["grey"], alpha=0.15, lw=0)
ax.set(xlabel="frame", ylabel="PSNR (dB)", title="Same edit, two encodings (grey: groups of the keyframes)")
ax.legend()
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Inside the grey groups the two edits part: `hold` climbs to a peak at the keyframe, `still`
# hardly gains. Frame 0 is the same in both.

# %% tags=["see", "keep_output"]
from flowedit.widgets import FrameScrubber
rows = {"source": clip.frames[:17], **edits, "exact edit": clip.truth[:17]}
fig, axes = lessons.contact(rows, range(3, 13), marks=(8,))
lessons.show(fig, "Frames 3 to 12 of the source, of the edit with still, with hold, and of the exact edit")
FrameScrubber(rows, keyframes=(0, 8, 16), note="small model", index=6)

# %% [markdown] tags=["see"]
# **What you should see.** The flash. In *still* the colours turn dull and grey in frames 5 to 8, the group of keyframe
# 8, and come back after it; in *hold* they do not. Play both below the picture: in motion it is a blink.

# %% [markdown] tags=["idea"]
# ## Where is a keyframe, for the transformer?
#
# The transformer may also *see* the keyframes, as extra tokens behind the clip's own, and the small model has a LoRA
# that was trained to read them. It knows where a token belongs in time only from its position index. Keyframe tokens can
# *share* the index of their slot; the naive choice *appends* them, as if they were later frames; another numbers them
# from 0 again (*restarted*). Only the first tells the truth.

# %% tags=["code", "keep_output"]
from flowedit.methods.branches import POSITIONS
near = {}
for name, place in POSITIONS.items():
    tokens = settings.with_(conditioning="tokens", positions=name, keyframe_encoding="hold", kappa=0.0, steps=4)
    near[name] = psnr(edit(tokens), clip.truth[:17]).mean()
    print(f"{name:10} indices {place(5, (0, 2, 4))[5:]}, no correction: {near[name]:.1f} dB")
assert near["shared"] == max(near.values())

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Frames come in groups of 1, 4, 4, 4, ...; everything you give by frame is mapped by `(i + 3) // 4`, and two
#   keyframes in one slot are refused.
# - A keyframe after the first slot must be encoded as a group: held still (`hold`), or as a change of the source's group
#   (`delta`).
# - Tokens of a keyframe carry their slot's position.
#
# **Your predictions.** (1) Slot 4. (2) No: both lie in slot 5. (3) A flash: for the four frames of its group the picture
# jumps to wrong colours and back.
#
# **What breaks it.** Encoding several distant keyframes as one clip: that claims that they are consecutive frames.
# Resizing or re-timing in silence: the slots move and nobody is told.
#
# **Next:** [04 · Agent keyframe styling](04_agent_keyframes.ipynb).
