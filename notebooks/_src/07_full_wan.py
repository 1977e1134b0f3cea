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
# **You will learn** to *predict* what a real Wan model needs and how long it takes, to *run* agent and editor in one
# go, and to *switch* between the small model and the large ones with one word.
#
# **You need** lessons [04](04_agent_keyframes.ipynb) and [05](05_full_edit.ipynb). Without a GPU the small model runs,
# and the cells for the large ones say why they are skipped. The words are in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# A clip of 81 frames of 480 by 832 pixels, 50 steps, with guidance.
#
# **Write down two answers.** (1) How many tokens does the transformer see at every step? (2) The 14B model has ten times
# the weights of the 1.3B one. Does it take ten times as long, more, or less?

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
# measured on one large GPU, and says which; `flowedit doctor --speed` measures yours. No checkpoint is
# downloaded for either.

# %% tags=["code", "keep_output"]
from flowedit.lessons import forecast, material
from flowedit.model import ClipShape
from flowedit.presets import preset_settings
shape = ClipShape(num_frames=81, height=480, width=832)
settings = {size: preset_settings(size, steps=50) for size in ("1.3B", "14B")}
small, large = (forecast.outlook(size, shape, each, keyframes=3) for size, each in settings.items())
print(small.words, large.words, f"14B takes {large.minutes / small.minutes:.1f} times as long as 1.3B", sep="\n")

# %% [markdown] tags=["exercise"]
# ### Exercise 7.1: how long is the sequence?
#
# *Difficulty ●●○○○ · 5 minutes.* Return the number of tokens for a clip, with `keyframes` extra slots when keyframes are
# tokens of the joint sequence.
#
# <details><summary>Hint 1</summary>81 frames are 21 slots; each slot is an image of h / 16 by w / 16 tokens.</details>
# <details><summary>Hint 2</summary>A keyframe token slot is as large as any other slot.</details>

# %% tags=["stub"]
def tokens(frames, height, width, keyframes=0):
    """Return the number of tokens of one sequence."""
    raise NotImplementedError("Exercise 7.1")

# %% tags=["check"]
lessons.check("7.1", tokens)

# %% tags=["solution"]
def tokens(frames, height, width, keyframes=0):
    """Return the number of tokens of one sequence."""
    return ((frames - 1) // 4 + 1 + keyframes) * (height // 16) * (width // 16)

# %% [markdown] tags=["idea"]
# ## Agent and editor in one go
#
# The two halves share one convention: *clip* frame numbers, from 0. The agent paints keyframes of the clip and says
# what the result shows; the editor takes both as they are.
#
# First look at a run that was **recorded**, so that you know what is coming. Then the same is made here.

# %% tags=["see"]
from flowedit.widgets import AgentTrace, Column, FrameScrubber, ResidualInspector, RunPanel, latent_preview
from flowedit.lessons.record import recorded
earlier = recorded()
Column([AgentTrace(earlier.events, note=earlier.note),
        FrameScrubber(earlier.clips, keyframes=earlier.indices, note=earlier.note, heading="A recorded edit")])

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
clip, folder = material.clip(), tempfile.mkdtemp()
wanted = StyleSettings(style="comic", backend="offline", target_fps=1.5, max_frames=3)
styled = style_video(frames_source(clip.frames, fps=16), wanted, folder)
keyframes = tuple(Keyframe(i, image) for i, image in zip(styled.indices, styled.images))

# %% [markdown] tags=["idea"]
# ## A prediction that can fail
#
# A prediction is worth what a run says about it. The small model runs anywhere, so here it is put to the test: encode the
# clip, take one step, decode once, and add up what the whole run will do of each.
#
# The preset `method` calls the transformer twice a step, for the target and for the source, and it decodes twice, the
# edit and the reference that its change is measured against. The figure is processor time, which depends little on what
# else the computer does.

# %% tags=["code"]
model, words, clock = material.small_model(), clip.source_prompt, time.process_time
settings, begun = preset_settings("tiny", "method", prompt=f"comic {words}", source_prompt=words), clock()
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

# %% tags=["see", "keep_output"]
rows = {"source": clip.frames, "recorded": earlier.frames, "live": result.frames}
fig, axes = lessons.contact(rows, (0, 6, 12, 20, 26, 32), marks=(0, 32))
lessons.show(fig, "Six frames of the source, of the recorded watercolour edit and of the comic edit made just now")

# %% [markdown] tags=["see"]
# **What you should see.** The source, the recorded edit and the live one: two looks from the same cells.

# %% [markdown] tags=["idea"]
# ## The same calls, another size
#
# Only the name changes: `"tiny"`, `"1.3B"`, `"14B"`. The cells below run where there is a GPU and the weights were
# fetched once, with `flowedit models fetch 1.3B`. Elsewhere each says in one line what is missing.

# %% tags=["code", "gpu", "keep_output"]
from flowedit.edit.steps import edit_video
from flowedit.errors import ModelError
def large_edit(size):
    try: model = material.large_model(size, ClipShape(num_frames=33, height=480, width=832))
    except ModelError as error: return print(f"{size} is skipped: {error}")
    wide = material.clip(frames=33, height=480, width=832)
    settings = preset_settings(size, prompt=wide.prompt, source_prompt=wide.source_prompt)
    print(material.what_ran(settings))
    return edit_video(wide.frames, wide.keyframes(), model, settings)
large_edit("1.3B")

# %% tags=["code", "gpu", "keep_output"]
large_edit("14B")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - Preflight first: memory and minutes are computed before anything is fetched.
# - Agent and editor share clip frame numbers; one goes into the other as it is.
# - The small and the large models share one interface: what you learned here is what runs there.
#
# **Your predictions.** (1) The preflight prints it; ask your solution as well: `tokens(81, 480, 832)`. (2) Less: about
# five times, on the GPU that was recorded. Attention compares tokens, and there are as many for both; only the matrix
# products grow with the weights.
#
# **What breaks it.** Half precision on old GPUs where bfloat16 is missing; a clip that is longer than the model's
# window; a kernel that shares its GPU with another notebook.
#
# **Next:** [08 · Your own model](08_your_own_model.ipynb).
