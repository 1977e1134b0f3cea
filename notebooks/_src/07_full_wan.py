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
# # 07 · Full WAN editing
#
# {{badges}}
#
# **You will learn** to *set up* a real Wan model on Colab or your own GPU, to *predict* what it needs and how long it
# takes, and to *run* agent and editor in one go.
#
# **You need** lessons [04](04_agent_keyframes.ipynb) and [05](05_full_edit.ipynb). Without a GPU the small model runs,
# and the cells for the large ones say why they are skipped. Words are in the [glossary](glossary.md),
# symbols in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# A clip of 81 frames of 480 by 832 pixels, 50 steps, with guidance.
#
# **Two questions.** (1) How many tokens does the transformer see at every step? (2) The 14B model has ten times the
# weights of the 1.3B one. Does it take ten times as long, more, or less?

# %% tags=["predict"]
lessons.predict("07", "", "")

# %% [markdown] tags=["idea"]
# ## Which GPU, which checkpoint
#
# A checkpoint need not fit into the GPU. Its weights rest where there is room, and the package picks the fastest level
# that fits: *resident* (all on the GPU), *offload* (on the host, one block at a time on the GPU), *fp8* (the same in 8
# bits, which rounds) and *disk* (read from the disk as it goes). Each is slower than the one before.
#
# The table is computed from the architectures: each checkpoint's own clip with five keyframes, on a host of 64 GB.
# `flowedit doctor` prints it for the machine at hand, `flowedit doctor --speed` the minutes as well.

# %% tags=["see", "keep_output"]
from flowedit.lessons import forecast, material
print(forecast.fits(["Wan2.1-T2V-1.3B", "1.3B", "Wan2.1-VACE-1.3B", "Wan2.2-TI2V-5B", "14B", "Wan2.1-VACE-14B"]))

# %% [markdown] tags=["see"]
# **What you should see.** A row per checkpoint and a column per GPU, with the level at which it runs there. The T4 that
# Colab lends without charge holds the 1.3B models; but it has no bfloat16, and Colab's host has less memory than 64 GB.

# %% [markdown] tags=["idea"]
# ## Setting one up, step by step
#
# 1. *Colab*: Runtime, change runtime type, a GPU; then open this notebook by its badge. *Your own*: a new Python and
#    `pip install "flowedit @ git+https://github.com/flowedit/flowedit"`.
# 2. `flowedit doctor` says what fits. Read it before you fetch.
# 3. `flowedit models fetch 1.3B`: 16 GB, from Hugging Face or ModelScope. If it is stopped, it resumes; hashes are
#    checked.
# 4. `flowedit doctor --speed` measures one block on your GPU and says how many minutes an edit would take.
# 5. `flowedit edit clip.mp4 -k painted/ --at 0,40,80 --model 1.3B --preset draft -o runs/first`: fewer steps first.
#
# The first lines name the level, the type and the attention kernel; then comes a line per step, whose `gap` should fall
# at the end. Edits by the real weights were **not seen** where this lesson was written: time and memory were measured
# with random weights, pictures only with the small model.

# %% [markdown] tags=["idea"]
# ## Preflight
#
# Nobody should wait an hour to learn that memory is short. Memory follows from the architecture: weights, the sequence,
# the autoencoder. With $h$, $w$ in pixels, $F$ frames, 8 pixels per latent and 2 latents per patch, the sequence has
#
# $$\left(\frac{F-1}{4} + 1\right) \cdot \frac{h}{16} \cdot \frac{w}{16}$$
#
# tokens, and attention compares each with each.
#
# Minutes follow from the speed of *one* transformer block of the real width with random weights. The cell reads what was
# measured on one large GPU, and says which. No checkpoint is downloaded for it.

# %% tags=["code", "keep_output"]
from flowedit.model import ClipShape
from flowedit.presets import preset_settings
shape = ClipShape(num_frames=81, height=480, width=832)
settings = {size: preset_settings(size, steps=50) for size in ("1.3B", "14B")}
small, large = (forecast.outlook(size, shape, each, keyframes=3) for size, each in settings.items())
print(small.words, large.words, f"14B takes {large.minutes / small.minutes:.1f} times as long as 1.3B", sep="\n")

# %% [markdown] tags=["idea"]
# ## How a real model sees keyframes
#
# Tokens (lesson 03) work on every checkpoint, but none of these was trained on them. Two families have a route of their
# own, a second tensor beside the noisy latents, channel by channel:
#
# - **Fun-InP** and the I2V checkpoints (`i2v`, the small model too): keyframe images at their own pixel frames and grey
#   elsewhere (for the small model, the source), encoded by the autoencoder (16 channels), after a mask of 4 channels that
#   holds *one bit per pixel frame*.
# - **VACE** (`vace`): the clip cut in two, what stays (16 channels, *inactive*) and what is to be made (16, *reactive*),
#   and the mask itself at full size, its 8 by 8 pixels of each latent laid out as 64 channels.
#
# The picture shows the mask as the package builds it for keyframes 0, 13 and 32, and both stacks.

# %% tags=["see", "keep_output"]
from flowedit.wan.routes import keyframe_mask
fig, (left, right) = lessons.figure(columns=2, height=2.8)
left.pcolormesh(keyframe_mask((0, 13, 32), 33, 1, 1)[..., 0, 0], cmap="cividis", edgecolors="white", linewidth=0.5)
left.set(title="The 4 mask channels of 33 frames", xlabel="slot", ylabel="channel")
stacks = ["latents\n16", "mask\n4", "image\n16", "inactive\n16", "reactive\n16", "mask\n64"]
for i, words in enumerate(stacks):
    right.barh(i // 3, 0.94, left=i % 3, height=0.6, color=f"C{i % 3}")
    right.text(i % 3 + 0.47, i // 3, words, ha="center", va="center", color="white")
right.set(title="What goes in, by channels", yticks=(0, 1), yticklabels=("Fun-InP", "VACE"), xticks=())
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Left, keyframe 0 fills all four channels of its slot, because that slot is a single frame; 13
# and 32 each set one bit of theirs, the one of their place in the group of four. Right, the two stacks: Fun-InP's
# transformer takes 36 channels at once, VACE reads its 96 in blocks of its own.

# %% [markdown] tags=["exercise"]
# ### Exercise 7.1: one bit per frame
#
# *Difficulty ●●●○○ · 8 minutes.* Build that mask: an array (4, slots) of zeros and ones for a clip of `count` frames.
# Keyframe 0 sets all four channels of slot 0; keyframe `i` after it sets channel `(i - 1) % 4` of its slot.
#
# <details><summary>Hint 1</summary>`count` frames have (count + 3) // 4 slots, and frame i lies in slot
# (i + 3) // 4.</details>
# <details><summary>Hint 2</summary>Begin with np.zeros((4, slots)), and treat frame 0 apart: mask[:, 0] = 1.</details>

# %% tags=["stub"]
import numpy as np
def bits(count, keyframes):
    """Return the mask of keyframes, (4, slots)."""
    raise NotImplementedError("Exercise 7.1")

# %% tags=["check"]
lessons.check("7.1", bits)

# %% tags=["solution"]
import numpy as np
def bits(count, keyframes):
    """Return the mask of keyframes, (4, slots)."""
    mask = np.zeros((4, (count + 3) // 4))
    for i in keyframes:
        rows = slice(None) if i == 0 else (i - 1) % 4
        mask[rows, (i + 3) // 4] = 1
    return mask

# %% [markdown] tags=["idea"]
# ## Agent and editor in one go
#
# The two halves share one convention: *clip* frame numbers, from 0. The agent paints keyframes of the clip and says
# what the result shows; the editor takes both as they are.
#
# First look at a run that was **recorded**, so that you know what is coming. Then make the same here, on a real clip.

# %% tags=["see"]
from flowedit.widgets import AgentTrace, Column, FrameScrubber, ResidualInspector, RunPanel, latent_preview
from flowedit.lessons.record import recorded
earlier = recorded()
clips = {"source": earlier.source, "edited": earlier.frames}
Column([AgentTrace(earlier.events, note=earlier.note),
        FrameScrubber(clips, keyframes=[key.index for key in earlier.keyframes], note=earlier.note)])

# %% [markdown] tags=["see"]
# **What you should see.** Above, what the agent did, node by node: it took frames, chose three, measured the style,
# painted, judged. Below, the clip and its edit in step, with those three keyframes on the track.

# %% tags=["code"]
import tempfile, time
from flowedit.agent.run import style_video
from flowedit.agent.sample import frames_source
from flowedit.agent.settings import StyleSettings
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.keyframes import Keyframe
clip, folder = material.film("coffee"), tempfile.mkdtemp()
wanted = StyleSettings(style="watercolour", backend="offline", target_fps=2.5, max_frames=3)
styled = style_video(frames_source(clip.frames, fps=25), wanted, folder)
keyframes = tuple(Keyframe(i, image) for i, image in zip(styled.indices, styled.images))

# %% [markdown] tags=["idea"]
# ## A prediction that can fail
#
# A prediction is worth only what a run says of it. The small model runs anywhere, so here it is put to the test: encode
# the clip, take one step, decode once, and multiply each by how often the whole run does it.
#
# The preset `method` calls the transformer twice a step, for the target and for the source, and it decodes twice, the
# edit and the reference that its change is measured against. The figure is processor time, which depends little on what
# else the computer does.

# %% tags=["code"]
model, clock = material.small_model(), time.process_time
settings, begun = preset_settings("tiny", "method"), clock()
ready, encoded = prepare(clip.frames, keyframes, model, settings), clock()
first, stepped = next(edit_steps(ready)), clock()
model.decode(first.latents)
total, decoded = len(ready.problem.sigmas) - 1, clock()
predicted = total * (stepped - encoded) + 2 * (decoded - stepped)
print(material.what_ran(settings))

# %% tags=["see"]
panel = RunPanel(lambda: edit_steps(ready), total=total, heading="The edit", note="small model",
                 preview=latent_preview(ready.reference.latents, ready.reference.frames),
                 finish=lambda step: finish(ready, step.latents))
panel

# %% [markdown] tags=["see"]
# **What you should see.** A panel with start and cancel, the step, the time left, the memory in use, and after every step
# a rough look at the clip so far. The run does not block the notebook, and cancel stops it after the current step. The
# next cell starts it for you and waits.

# %% tags=["see", "keep_output"]
from flowedit.agent.events import read_record
begun, result = clock(), panel.run()
measured, events = clock() - begun, [event.model_dump() for event in read_record(folder).events]
off = predicted / measured - 1
print(f"predicted {predicted:.0f} s, measured {measured:.0f} s of processor time: off by {off:+.0%}")
live = {"source": clip.frames, "edited": result.frames}
Column([AgentTrace(events, folder=folder, note="offline"), FrameScrubber(live, keyframes=styled.indices,
        note="live, small model"), ResidualInspector(result.trace, note="live, small model")])

# %% [markdown] tags=["see"]
# **What you should see.** The prediction beside what was measured, and by how much it was off. Then the whole run, made
# without leaving this page: what the agent did, the clip and its edit in step with three keyframes on the track, and
# the residuals.

# %% [markdown] tags=["idea"]
# ## The same calls, another size
#
# Only the name changes: `"tiny"`, `"1.3B"`, `"14B"`. The cells below run where there is a GPU and the weights were
# fetched once, with `flowedit models fetch 1.3B`. Elsewhere each says in one line what is missing.

# %% tags=["code", "gpu", "keep_output"]
from flowedit.edit.steps import edit_video
from flowedit.errors import ModelError
wide = material.film("mountain", frames=33, size=(480, 832))
for size in ("1.3B", "14B"):
    try:
        large = material.large_model(size, ClipShape(num_frames=33, height=480, width=832))
        print(material.what_ran(preset_settings(size)))
        edited = edit_video(wide.frames, wide.keyframes(), large, preset_settings(size))
    except ModelError as error:
        print(f"{size} is skipped: {error}")

# %% [markdown] tags=["idea"]
# ## What can go wrong
#
# - *Out of memory*, though it should fit: another process holds the GPU (`nvidia-smi`), or Colab kept an old kernel.
#   Restart it, or go one level down with `--placement offload`.
# - *Black or grey frames*, or a stop that says that values are not finite: a GPU without bfloat16, such as the T4,
#   computes in float16, whose range is smaller. The first lines name the type; a card from 2020 on has bfloat16.
# - *The edit ignores the keyframes*: a text-only checkpoint (T2V) sees them as tokens that it was never trained on. Take
#   a Fun-InP or VACE checkpoint.
# - *Flashes at keyframes*: a `still` encoding (lesson 03), or keyframes that disagree (lesson 04): paint them with one
#   card, or lower kappa (lesson 06).
# - *It stops half-way*: the fetch and the run both go on where they stopped.

# %% tags=["predict"]
lessons.recall("07")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Preflight first: memory and minutes are computed before anything is fetched.
# - Agent and editor share clip frame numbers; one goes into the other as it is.
# - The small and the large models share one interface: what you learned here is what runs there.
#
# **Answers to the predictions.** (1) The preflight prints it. (2) Less: the preflight prints the factor, for the GPU that
# was recorded. Attention compares tokens, and there are as many for both; only the matrix
# products grow with the weights.
#
# **What breaks it.** Clips longer than the model's window; sizes that are no multiple of 16; a GPU shared with another
# notebook.
#
# **Next:** [08 · Your own model](08_your_own_model.ipynb).
