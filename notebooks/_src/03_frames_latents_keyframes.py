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
# and to *place* it in time, so that the transformer knows where it belongs.
#
# **You need** lesson [01](01_math_verification.ipynb). Words are in the [glossary](glossary.md), symbols in the
# [table of notation](notation.md). The lesson uses the small Wan that comes with the package: a real Wan transformer and
# autoencoder, only small.
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# A Wan model does not work on frames but on *latents*. 33 frames become 9 latents.
#
# **Three questions.** (1) You repaint frame 16. Which latent is that? (2) May you give keyframes 17 *and* 19?
# (3) You encode your painting of frame 16 as a video of one frame and put that latent in its place. What will you see
# in the result around frame 16?

# %% tags=["predict"]
lessons.predict("03", "", "", "")

# %% [markdown] tags=["idea"]
# ## Groups of 1, 4, 4, 4, ...
#
# The autoencoder is *causal*: it reads frames in order and never looks ahead. Frame 0 gets a latent of its own, and
# after it every four frames share one. So a clip has `4n + 1` frames and `n + 1` latents, and pixel frame $i$ lies in
# slot
#
# $$slot(i) = \lfloor (i + 3) / 4 \rfloor$$
#
# You need not take it on trust. Invert one frame, encode, and see which latents have changed: the first of them is the
# slot. Later latents change a little too, because the autoencoder remembers the past; earlier ones never do.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.frames import group_of, slot_of
from flowedit.lessons import material
from flowedit.model import to_pixels
clip, model = material.clip(), material.small_model()
small = to_pixels(clip.frames[:9, 32:96, 32:96])  # (1, 3, frames, height, width), in [-1, 1]
for i in range(9):
    inverted = small.clone()
    inverted[:, :, i] *= -1
    change = (model.encode(inverted) - model.encode(small)).abs().amax((0, 1, 3, 4))
    print(f"frame {i} changes latents {(change > 1e-4).nonzero().flatten().tolist()}; the formula says {slot_of(i)}")

# %% tags=["see"]
from flowedit.widgets import SlotMap
SlotMap(33, keyframes=[0, 17, 19, 32], frames=clip.frames)

# %% [markdown] tags=["see"]
# **What you should see.** The 33 frames in their 9 slots. Keyframes 17 and 19 are marked as a collision: they lie in one
# latent, and there is room for only one. The last frame of a group (0, 4, 8, ...) is the natural place.

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
import numpy as np
def hold(image, index):
    """Return (frames to encode, which latent to take) for a keyframe at pixel frame index."""
    raise NotImplementedError("Exercise 3.1")

# %% tags=["check"]
lessons.check("3.1", hold)

# %% tags=["solution"]
import numpy as np
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
import numpy as np
from flowedit.methods.encoding import encode_keyframes
from flowedit.methods.branches import rms_per_slot
source, truth = (model.encode(to_pixels(frames[:17])) for frames in (clip.frames, clip.truth))
styled, distance = clip.keyframes(0, 4, 8, 12, 16), {}
for way in ("still", "hold", "delta"):
    keys = encode_keyframes(model, styled, clip.frames, source, way)
    distance[way] = np.array(rms_per_slot(keys - truth))
    print(f"{way:6} distance to the true latent: slot 0 {distance[way][0]:.1f}, later {distance[way][1:].mean():.1f}")

# %% tags=["proof"]
assert distance["still"][1:].mean() > 1.3 * max(distance["hold"][1:].mean(), distance["delta"][1:].mean())

# %% [markdown] tags=["idea"]
# ## The flash
#
# In slot 0 all three are the same, because that slot *is* a single picture. In every later slot the lone picture is far
# off. That is not an abstract matter. The correction of lesson 01 pulls the clip onto the keyframes' latents, so
# the clip *arrives* at what they say. If a latent says something that no group of four frames would, the decoder shows
# it.
#
# We edit the first 17 frames twice, and change nothing but the encoding. Nearness to the exact answer is measured in dB:
# 3 dB more is half the squared error.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.settings import EditSettings
from flowedit.edit.steps import edit_video
from flowedit.metrics import psnr
settings = EditSettings(prompt=clip.prompt, conditioning="none", detail="plain", steps=6, shift=3.0, strength=0.8)
def edit(wanted):
    return edit_video(clip.frames[:17], clip.keyframes(0, 8, 16), model, wanted).frames
edits = {way: edit(settings.with_(keyframe_encoding=way)) for way in ("still", "hold")}
quality = {way: psnr(frames, clip.truth[:17]) for way, frames in edits.items()}
inside = [*group_of(2), *group_of(4)]
print("holding still is better inside the keyframes' groups:", all(quality["hold"][inside] > quality["still"][inside]))

# %% tags=["see", "keep_output"]
from flowedit.widgets import FrameScrubber
said = {f"{way}, {quality[way][inside].mean():.0f} dB": frames for way, frames in edits.items()}
rows = {"source": clip.frames[:17], **said, "exact edit": clip.truth[:17]}
fig, axes = lessons.contact(rows, range(3, 13), marks=(8,))
lessons.show(fig, "Frames 3 to 12 of the source, of the edit with still, with hold, and of the exact edit")
FrameScrubber(rows, keyframes=(0, 8, 16), note="small model", index=6)

# %% [markdown] tags=["see"]
# **What you should see.** The flash; beside the names, nearness inside the keyframes' groups. In *still* the colours turn
# dull and grey in frames 5 to 8, the group of keyframe 8, and only slowly come back; in *hold* they do not. Play both
# below the picture: in motion it is a blink.

# %% [markdown] tags=["idea"]
# ## Where is a keyframe, for the transformer?
#
# The transformer may also *see* the keyframes, as extra tokens behind the clip's own. A token carries no place of its
# own; **rotary positions** (RoPE) give it one. Each token is cut into pairs of numbers, and each pair is turned like the
# hand of a clock, by an angle that grows with the token's position $i$, fast for the first pair and ever slower for the
# next. Attention compares hands, so it sees only how far apart two tokens stand. Equal tokens at
# a distance of $d$ have the agreement
#
# $$agreement(d) = mean\,(\cos(d\,\theta_1), \cos(d\,\theta_2), \dots)$$
#
# Keyframe tokens can *share* the position of their slot. The naive choice *appends* them, as if they were later frames;
# another numbers them from 0 again. Below, a keyframe of slot 2 in a clip of 5, by the small model's own table.

# %% tags=["see", "keep_output"]
from flowedit.methods.branches import POSITIONS
table = model.pipe.dit.freqs[0].numpy()  # complex (positions, pairs): each number turns one pair
fig, (left, right) = lessons.figure(columns=2, height=2.9)
left.plot(table[:13, :4].real, marker="o", ms=3)
left.set(title="Four of the hands, seen from the side", xlabel="position", ylabel="cosine of the angle")
for name, place in POSITIONS.items():
    right.plot((table[:5] * table[place(5, [2])[-1]].conj()).real.mean(axis=1), marker="o", label=name)
right.set(title="Where slot 2's keyframe seems to be", xlabel="slot of the clip", ylabel="agreement", ylim=(0.5, 1.02))
right.legend(title="position of the keyframe", loc="lower center", ncols=2)
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Left, each hand turns on with every position, the first one fastest: together they tell each
# position from every other. Right, the slots of the clip whose hands agree best with the keyframe's: with a shared
# position that is slot 2, where it belongs; appended, it seems to stand after the last slot; restarted, at the first, and
# at *zero* too, where every keyframe would stand (one real model is trained so, and tells them apart by other marks).

# %% [markdown] tags=["exercise"]
# ### Exercise 3.2: shared positions
#
# *Difficulty ●●○○○ · 5 minutes.* Write the second of the method's ideas. From the model's table (one row per position),
# return the rows for the joint sequence: those of the clip's slots in order, then for each keyframe the row of its slot.
#
# <details><summary>Hint 1</summary>An array can be indexed with a list of rows, in any order, repeats included.</details>
# <details><summary>Hint 2</summary>The list is 0, 1, ..., num_slots - 1, followed by the slots of the
# keyframes.</details>

# %% tags=["stub"]
def shared_rows(table, num_slots, slots):
    """Return the table's rows for the clip's slots and the keyframes after them."""
    raise NotImplementedError("Exercise 3.2")

# %% tags=["check"]
lessons.check("3.2", shared_rows)

# %% tags=["solution"]
def shared_rows(table, num_slots, slots):
    """Return the table's rows for the clip's slots and the keyframes after them."""
    return table[[*range(num_slots), *slots]]

# %% [markdown] tags=["idea"]
# ## Does it matter?
#
# The small model was trained to read keyframe tokens at shared positions. The cell edits with each choice, without
# correction, so that the result depends only on what the model reads. The picture above suggests a large effect; see how
# large it is.

# %% tags=["code", "keep_output"]
near = {}
for name in POSITIONS:
    tokens = settings.with_(conditioning="tokens", positions=name, keyframe_encoding="hold", kappa=0.0, steps=4)
    near[name] = psnr(edit(tokens), clip.truth[:17]).mean()
    print(f"{name:10} {near[name]:.1f} dB")

# %% tags=["proof"]
assert near["shared"] > max(near["appended"], near["restarted"])

# %% tags=["predict"]
lessons.recall("03")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Frames come in groups of 1, 4, 4, 4, ...; everything you give by frame is mapped by `(i + 3) // 4`, and two
#   keyframes in one slot are refused.
# - A keyframe after the first slot must be encoded as a group: held still (`hold`), or as a change of the source's group
#   (`delta`).
# - Tokens of a keyframe carry their slot's position: rotary positions tell the transformer distances in time. On this
#   clip the other choices cost little, and *zero* next to nothing.
#
# **Answers to the predictions.** (1) Slot 4. (2) No: both lie in slot 5. (3) A flash: for the four frames of its group
# the picture jumps to wrong colours and back.
#
# **What breaks it.** Encoding several distant keyframes as one clip: that claims that they are consecutive frames.
# Resizing or re-timing silently: the slots move and nobody is told.
#
# **Next:** [04 · Agent keyframe styling](04_agent_keyframes.ipynb).
