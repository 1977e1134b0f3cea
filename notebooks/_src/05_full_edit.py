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
# # 05 · A full edit on the small Wan
#
# {{badges}}
#
# **You will learn** to *run* an edit step by step, to *read* its residuals, and to *write* the method yourself.
#
# **You need** lessons [01](01_math_verification.ipynb) and [03](03_frames_latents_keyframes.ipynb). Words are in the
# [glossary](glossary.md), symbols in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# A rule of thumb says that an edit is good when the residual `r_k_norm` stays below 0.01.
#
# **Three questions.** (1) Will `r_k_norm` fall during a run, or rise? (2) Does a *good*
# edit obey the rule? (3) Could an edit that does *nothing at all* obey it?

# %% tags=["predict"]
lessons.predict("05", "", "", "")

# %% [markdown] tags=["idea"]
# ## One loop
#
# An edit has three parts. `prepare` encodes clip, keyframes and words once. `edit_steps` is a generator: it yields after
# every step, so progress, a preview or a cancel button are a plain `for` around it. `finish` decodes.
#
# The preset `method` is what lessons 01 to 03 built: the difference of two velocities, keyframes encoded as a change of
# the source's own groups (`delta`), and at every step the correction,
#
# $$v_{main} \leftarrow v_{main} + \frac{\kappa}{dt}\,r$$
#
# With `conditioning="none"` the model does not *see* the keyframes: it has the words, and everything else comes from the
# correction, which the cell turns up to a rate of 10. That is the best way to watch it, not the best edit; the preset
# itself corrects by less. The preset `default` has no correction; it shows the model a classical estimate of the whole
# clip instead. Lesson 06 compares what each is worth.

# %% tags=["code"]
from flowedit.edit.steps import edit_steps, edit_video, finish, prepare
from flowedit.lessons import material
from flowedit.presets import preset_settings
clip, model = material.clip(frames=17), material.small_model()
words = {"prompt": clip.prompt, "source_prompt": clip.source_prompt}
settings = preset_settings("tiny", "method", conditioning="none", **words).with_(alpha=10.0)
prepared = prepare(clip.frames, clip.keyframes(0, 8, 16), model, settings)
for step in edit_steps(prepared):
    print(step.trace.line())
print(material.what_ran(settings))

# %% tags=["see"]
from flowedit.widgets import Column, FrameScrubber, ResidualInspector
result = finish(prepared, step.latents)
inspector = ResidualInspector(result.trace)
Column([FrameScrubber({"source": clip.frames, "edited": result.frames, "exact edit": clip.truth}, keyframes=(0, 8, 16),
                      note="live, small model"), inspector])

# %% [markdown] tags=["see"]
# **What you should see.** Above, three clips in step: source, edit, exact answer. Below, a map of the readings, step by
# keyframe, on a fixed scale from 0 to 1 for the gap. Switch between the gap, `r_k`, `v_diff` and Δv; in the *lines* view
# of `r_k` a line marks the rule of thumb, 0.01.

# %% [markdown] tags=["idea"]
# ## Which figure to read
#
# Because both branches share one noise, their gap is hidden at first: $(1-\sigma)\,D$ is small while $\sigma$ is near 1.
# So `r_k_norm` starts small **whatever you do**, and it grows as the noise goes. Where it starts
# depends on `strength`, and how large it gets on how much the style changes. A fixed threshold cannot know either.
#
# `gap_norm` is the gap *after* each step, divided by the difference between source and keyframe. At the end of the run
# it has a plain meaning: 1 says that nothing was carried over, 0 that the clip is on the keyframe.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.edit.sweep import varied
def again(alpha):
    run = varied(prepared, settings.with_(alpha=alpha))
    *_, last = edit_steps(run)
    return finish(run, last.latents)
runs = {0.0: again(0.0), 2.0: again(2.0), 10.0: result}
for alpha, run in runs.items():
    rk, left = run.trace.array("r_k_norm").mean(axis=1), run.trace.steps[-1].gap_norm
    print(f"alpha {alpha:g}: r_k_norm at least {rk.min():.3f}, final gap_norm", *(f"{gap:.2f}" for gap in left))

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=2, height=3.0)
for ax, name, at, says in zip(axes, ("r_k_norm", "gap_norm"), ("sigma", "sigma_next"), ("a step finds", "it leaves")):
    for (alpha, run), marker in zip(runs.items(), "o^sd"):
        x, values = [getattr(step, at) for step in run.trace.steps], run.trace.array(name).mean(axis=1)
        ax.plot(x, values, marker=marker, label=f"alpha {alpha:g}, at the end {values[-1]:.3f}")
    ax.set(xlim=(0.92, 0), ylim=(0, None), xlabel="noise level σ", title=f"{name}: what {says}")
    ax.legend(fontsize=8)
axes[0].axhline(0.01, color="0.54", lw=1, linestyle="-")
lessons.show(fig)

# %% tags=["proof"]
assert runs[10.0].trace.final_gap() < 0.05 < runs[2.0].trace.final_gap() < runs[0.0].trace.final_gap()
assert all(run.trace.array("r_k_norm").min() > 0.01 for run in runs.values())

# %% [markdown] tags=["see"]
# **What you should see.** Means over the three keyframes. Left, all runs begin at the same point, end higher, and stay
# above the grey line of the rule of thumb at every step, even the best run. Right, they part: without correction (blue)
# most of the difference is left at the end, and every larger alpha leaves less of it. A small gap says that the keyframes
# *arrived*, not that the frames between them are good.

# %% [markdown] tags=["exercise"]
# ### Exercise 5.1: write the method yourself
#
# *Difficulty ●●●●○ · 15 minutes.* Write `coupled`, the method of lesson 01, as one loop. `model(x_main, x_key, sigma)` is
# the velocity of the clip; the keyframes' own is `noise_key - keys`. Arrays have axes (b, c, f, h, w); `slots` picks
# frames of the clip, and the keyframes' noise too. Start from the source and the keyframes, each noised to the first of
# the `sigmas`; at each step correct the clip's velocity at the slots by the share `kappa`; return the clip at the end.
#
# <details><summary>Hint 1</summary>At level s noised data are (1 - s) * data + s * noise. A step is
# x = x - dt * v, with dt = sigma - sigma_next.</details>
# <details><summary>Hint 2</summary>r = (x_main[:, :, at] - x_key) - (v[:, :, at] - v_key) * dt with at = list(slots); add
# kappa / dt * r to v[:, :, at], in a copy of v.</details>

# %% tags=["stub"]
def edit_coupled(model, source, keys, slots, noise, sigmas, kappa):
    """Return the edited latents, in the shape of source."""
    raise NotImplementedError("Exercise 5.1")

# %% tags=["check"]
lessons.check("5.1", edit_coupled)

# %% tags=["solution"]
def edit_coupled(model, source, keys, slots, noise, sigmas, kappa):
    """Return the edited latents, in the shape of source."""
    at = list(slots)
    noise_key = noise[:, :, at]
    x_main = (1 - sigmas[0]) * source + sigmas[0] * noise
    x_key = (1 - sigmas[0]) * keys + sigmas[0] * noise_key
    for sigma, sigma_next in zip(sigmas, sigmas[1:]):
        dt = sigma - sigma_next
        v, v_key = model(x_main, x_key, sigma).clone(), noise_key - keys
        r = (x_main[:, :, at] - x_key) - (v[:, :, at] - v_key) * dt
        v[:, :, at] += kappa / dt * r
        x_main, x_key = x_main - dt * v, x_key - dt * v_key
    return x_main

# %% tags=["see"]
from flowedit.lessons.scoring import score
from flowedit.widgets import AlphaExplorer
def entry(alpha, run):
    return alpha, run.frames, run.trace, {"gap": run.trace.final_gap(), **score(clip, (0, 8, 16), run.frames)}
def compute(alpha):
    run = varied(prepared, settings.with_(alpha=alpha))
    for done, step in enumerate(edit_steps(run), 1):
        yield done, len(run.problem.sigmas) - 1
    return entry(alpha, finish(run, step.latents))
AlphaExplorer([entry(*one) for one in runs.items()], source=clip.frames, note="live, small model", compute=compute)

# %% [markdown] tags=["see"]
# **What you should see.** Move along the values of alpha: frames, figures and residuals change at once, because all
# were computed; the kernel can compute a value in between, and be cancelled. Watch frames 5 to 8, the group of keyframe
# 8. With alpha 0 the words bring some of the colours and only faint lines. With a larger alpha the group takes on the
# painting, and the frames between follow part of the way: compare `psnr_far` with `psnr_key`. The correction acts on the
# keyframes' slots alone, the model carries it on. To carry a painting further, let the model *see* the keyframes
# (`conditioning="i2v"`, as the preset does), or start from an estimate that has them, as the default does.

# %% [markdown] tags=["idea"]
# ## Beta, and a run that does nothing
#
# With $\beta > 0$ the keyframe branch comes to meet the clip. The gap closes faster, by the law of lesson 01; but it
# closes somewhere *between* the two, and no longer on your painting. So a small gap alone is not the whole story: look at
# how far the keyframe branch has left its keyframe.
#
# The third run edits nothing: both its velocities are zero, nothing is corrected, and its keyframes differ from the
# source by a hundredth of the style. Which of the two figures notices?

# %% tags=["code"]
from dataclasses import replace
from flowedit.correction import Constant
def still(main, key, sigma):
    return 0 * main
problem = prepared.problem
own = problem.source[:, :, list(problem.slots)]
nothing = replace(problem, v_target=still, v_source=still, gain=Constant(0.0), keys=own + (problem.keys - own) / 100)
variants = {"beta 0": problem, "beta 1": replace(problem, beta=1.0), "edits nothing": nothing}

# %% tags=["code", "keep_output"]
seen = {}
for name, variant in variants.items():
    run = replace(prepared, problem=variant)
    *_, last = edit_steps(run)
    off = float((last.x_key - variant.keys).norm() / (own - variant.keys).norm())
    seen[name] = run.trace.array("r_k_norm").max(), run.trace.final_gap(), off
    print("{:13} r_k_norm at most {:.3f}, gap_norm {:.3f}, key branch off by {:.2f}".format(name, *seen[name]))

# %% tags=["proof"]
import numpy as np
most, gap, off = np.array([*seen.values()]).T
assert gap[1] < gap[0] < 0.05 and off[0] < 0.01 and off[1] > 0.3 and most[2] < 0.01 and gap[2] > 0.99

# %% [markdown] tags=["idea"]
# ## A real clip
#
# The form begins with a real clip; choose another if you like. Pick frames, let a look paint them, and start the panel.
# This time the preset `method` runs as it is, and you can read its residuals. Cancel works at each step, and the notebook
# stays free. Then run the last cell; before that it shows the edit from above.

# %% tags=["see"]
from flowedit.media.clips import shipped_clip
from flowedit.widgets import ClipPicker
plain = preset_settings("tiny", "method")
print(material.what_ran(plain))
picker = ClipPicker(shipped_clip("coffee"), window=17, looks=material.painters(), panel=material.panel(plain))
picker

# %% [markdown] tags=["see"]
# **What you should see.** The form of lesson 00: a video, its frames on the slot map, a look to paint them in, and a
# panel that runs the edit step by step.

# %% tags=["see"]
mine = picker.panel.result or result
Column([FrameScrubber({"source": mine.source, "edited": mine.frames}, keyframes=[key.index for key in mine.keyframes],
                      fps=picker.fps, note="live, small model"), ResidualInspector(mine.trace)])

# %% [markdown] tags=["see"]
# **What you should see.** The clip and its edit in step, and below them the readings at the keyframes.

# %% tags=["predict"]
lessons.recall("05")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - An edit is a loop that you can watch, stop, repeat and write in fifteen lines.
# - `gap_norm` at the end says how much of the keyframes arrived. `r_k_norm < 0.01` is a rule of thumb, and misleads both
#   ways: the good run never obeys it, and a run that edits nothing can obey it throughout.
# - Alpha decides how near the clip comes to the keyframes' slots; beta lets the keyframe branch come to meet the clip,
#   and gives up exactness *on* the keyframe. The frames between follow only part of the way.
#
# **Answers to the predictions.** (1) It starts low and ends higher in all of them, least so in the best. (2) No: it lies
# above the line at every step; the figure says how much style is at stake, not how well it was carried. (3) Yes, as the
# last run shows.
#
# **What breaks it.** The literal gain on long steps (lesson 01); a `still` keyframe in a later slot (lesson 03);
# keyframes that do not agree (lesson 04): the correction carries what they disagree on into the clip.
#
# **Next:** [06 · What is it worth?](06_what_is_it_worth.ipynb). The command line takes any video as well:
# `flowedit edit`.
