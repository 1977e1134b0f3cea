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
# # 01 · Math verification
#
# {{badges}}
#
# **You will learn** to *see* what each of the method's three ideas does, to *predict* when the correction closes the
# gap between an edit and its keyframe, and to *recognise* the formulas that do not.
#
# **You need** vectors and a little algebra; the first section says what a flow is, and lesson
# [02](02_flows_by_hand.ipynb) derives it. Words are in the [glossary](glossary.md), symbols in the
# [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# Give the correction a rate, $\alpha = 10$. Taken literally, a step of length $dt$ removes the
# share $\kappa = \alpha\,dt$ of the gap. Wan's noise levels are not evenly spaced: the last step is the longest.
#
# **Two questions.** (1) With 50, 30, 20 and 10 steps: is the gap at the end smaller than it would be without any
# correction? (2) The clip and its keyframe are given the *same* noise. What would go wrong with two different ones?

# %% tags=["predict"]
lessons.predict("01", "", "")

# %% [markdown] tags=["idea"]
# ## All of it on one stage
#
# A flow model works on a straight path between data $z$ and noise $n$. At noise level $\sigma$ (1 is noise, 0 is data)
# the path is at $x = (1-\sigma)\,z + \sigma\,n$, and its velocity is $v = n - z$. A step goes against $v$, towards the
# data.
#
# Below, five frames of a clip lie in a plane: *what* a frame shows runs across, *how it is painted* runs up. One of them
# has been painted: the orange diamond. Each hangs on a thread that leads to its noised copy, which is all that the model
# sees; as $\sigma$ falls the threads are pulled in. Three ideas can be switched on and off:
#
# 1. **one noise**: the keyframe hangs on the same thread as its frame;
# 2. **shared position**: the model sees the keyframe at the place in time where it belongs;
# 3. **correction**: at each step the frame is pulled towards the keyframe.

# %% tags=["see"]
from flowedit.lessons.record import three_ideas
from flowedit.presets import preset_settings
from flowedit.widgets import CoupledStage
gain, ideas = preset_settings("tiny", "method").gain, three_ideas()
print("the stage corrects as the preset `method` does, by", gain)
CoupledStage(gain, strips=ideas.strips, strips_name=ideas.words)

# %% [markdown] tags=["see"]
# **What you should see.** Play it. The two threads of the painted frame run in *parallel*: the red gap between their ends
# is the difference of paint and nothing else. With **two** noises they cross; early on the gap is mostly noise, and the
# small dots, where the frame ends over 24 draws, scatter. With the position **appended**, the paint arrives at the last
# frames, where nobody asked for it. With the correction **off**, frame 2 stops where the model puts it, short of the
# diamond. Below the plane, the same eight edits by the small Wan: there the differences are small.

# %% [markdown] tags=["idea"]
# ## What one noise buys, measured
#
# It is easy to claim too much here. With the method `coupled`, which starts from noise and has no source beside it, one
# noise and two end equally near the keyframe. With `difference`, the method of the stage and of the preset, they do not;
# the clearest case is a keyframe that nobody painted: with one noise its branch *is* the clip's, nothing is
# left to correct, and the source comes back exactly. With two, the correction mistakes the difference of noises for
# paint.
#
# The first cell repeats the stage 200 times and reads what was recorded with the small Wan; the second does the same for
# `coupled`. Mind the sign in the record: above 0, one noise is nearer to the exact edit; below, two are. A learned model
# need not gain what the stage gains.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
import numpy as np
from flowedit.toy import stage
for one_noise in (True, False):
    switches = stage.Switches(one_noise=one_noise, gain=gain)
    painted = np.array([stage.ends(switches, seed) for seed in range(200)])
    missed = stage.rms(painted - stage.SOURCE[stage.SLOT] - stage.STYLE)
    strayed = stage.rms(stage.unpainted(switches, 200))
    print(f"one noise {one_noise!s:5}: ends {missed:.2f} from the painting; unpainted, {strayed:.2f} from its source")
print(ideas.noise_table)

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.flow import interpolate
from flowedit.toy import Branches, gaussian, kappas_of, two_branches
clip, key, sigmas = gaussian([1.0], 0.3), gaussian([0.0], 0.3), stage.SIGMAS
noise, other = np.random.default_rng(1).standard_normal((2, 4000, 1))
for name, noise_key in (("one noise", noise), ("two noises", other)):
    starts = interpolate(1.0, noise, sigmas[0]), interpolate(0.0, noise_key, sigmas[0])
    steps = two_branches(Branches(clip.velocity, key.velocity, *starts), sigmas, kappas_of(gain, sigmas))
    gaps = [stage.rms(step.gap) for step in steps]
    print(f"coupled, {name}: gap {gaps[0]:.2f} after the first step, {gaps[-1]:.3f} at the end")

# %% tags=["proof"]
one, two = (stage.Switches(one_noise=on, gain=gain) for on in (True, False))
assert stage.rms(stage.unpainted(one, 50)) < 1e-12 < 0.05 < stage.rms(stage.unpainted(two, 50))

# %% [markdown] tags=["idea"]
# ## The gap law
#
# Let us make the correction exact. An edit runs two branches: `main`, which is the clip, and `key`, which is the
# keyframe. The **residual** is the gap that the next step would leave:
#
# $$r = (x_{main} - x_{key}) - (v_{main} - v_{key})\,dt$$
#
# The correction adds $\frac{\kappa}{dt}\,r$ to the main velocity and takes $\frac{\beta\kappa}{dt}\,r$ from the
# other. Put both into one Euler step and almost everything cancels. What is left is the **gap law**:
#
# $$gap_{next} = (1 - \kappa\,(1+\beta))\;r$$
#
# Neither the model nor the noise was used, so the law holds for *any* four arrays, whatever their noise. The cell tries
# random ones. What one noise changes is not the law but what a residual *means*.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.correction import correct, gap_law, residual
from flowedit.flow import euler_step
dt, kappa = 0.1, 0.7
x_main, x_key, v_main, v_key = np.random.default_rng(0).standard_normal((4, 1000, 16))
r = residual(x_main, x_key, v_main, v_key, dt).r
for beta in (0.0, 0.5, 1.0):
    new_main, new_key = correct(v_main, v_key, r, kappa / dt, beta)
    gap = euler_step(x_main, new_main, 0.5, 0.5 - dt) - euler_step(x_key, new_key, 0.5, 0.5 - dt)
    print(f"beta {beta}: the law holds to 1e-6:", np.abs(gap - gap_law(r, kappa, beta)).max() < 1e-6)

# %% [markdown] tags=["exercise"]
# ### Exercise 1.1: close the gap
#
# *Difficulty ●●○○○ · 5 minutes.* Write the correction of the main branch ($\beta = 0$): from both branches, both
# velocities, $dt$ and $\kappa$, return the velocity that leaves the share $1 - \kappa$ of the residual.
#
# <details><summary>Hint 1</summary>You need the residual first. It has the velocities in it, times dt.</details>
# <details><summary>Hint 2</summary>An Euler step subtracts dt times the velocity, so what you add to the velocity
# arrives multiplied by minus dt. Divide by dt to cancel it, and mind the sign.</details>

# %% tags=["stub"]
def close_gap(x_main, x_key, v_main, v_key, dt, kappa):
    """Return the corrected velocity of the main branch."""
    raise NotImplementedError("Exercise 1.1")

# %% tags=["check"]
lessons.check("1.1", close_gap)

# %% tags=["solution"]
def close_gap(x_main, x_key, v_main, v_key, dt, kappa):
    """Return the corrected velocity of the main branch."""
    r = (x_main - x_key) - (v_main - v_key) * dt
    return v_main + (kappa / dt) * r

# %% [markdown] tags=["idea"]
# ## Three formulas that look right
#
# *The sign.* $v$ points from data to noise, and a step moves against it. Whoever forgets this subtracts the push.
#
# *The circulating formula.* You may meet the residual written as
# $\frac{z_i - z_k}{t} - \frac{z_k^t - z_i^t}{t}$, with $t = \sigma$. It compares *clean* latents with *noisy* ones,
# and the second difference runs the other way round.
#
# *The same, mended.* Turn the second difference round and the $t$ cancels: what remains is $z_i - z_k$, the whole
# difference of the data, at every noise level.
#
# Each of the four gets the same share, $\kappa = 0.5$, on Wan's 50 steps. One step at a time: what part of the gap is
# left? The law says one half.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.schedule import wan_sigmas
grid = np.array(wan_sigmas(50))
sigma, dt = grid[:-1], -np.diff(grid)
z_i, z_k, n, kappa = 1.0, 0.0, 0.5, 0.5
x_i, x_k = interpolate(z_i, n, sigma), interpolate(z_k, n, sigma)
r = residual(x_i, x_k, n - z_i, n - z_k, dt).r
forms = {"the residual r": r, "wrong sign": -r,
         "circulating": (z_i - z_k - x_k + x_i) / sigma, "mended": (z_i - z_k - x_i + x_k) / sigma}
print("r is (1 - sigma_next) times the difference of the data:", np.allclose(r, (1 - grid[1:]) * (z_i - z_k)))

# %% tags=["see", "keep_output"]
fig, ax = lessons.figure(height=3.4)
left = {name: np.abs(x_i - x_k - dt * (z_k - z_i + kappa / dt * form)) / r for name, form in forms.items()}
for (name, factor), marker in zip(left.items(), "o^sd"):
    ax.plot(sigma, factor, marker=marker, markevery=4, label=f"{name}: {(factor < 1).sum()} of 50")
ax.axhspan(0.03, 1, color="0.54", alpha=0.12, lw=0)
ax.set(yscale="log", xlim=(1, 0), ylim=(0.03, 300), xlabel="noise level σ (an edit runs to the right)",
       ylabel="gap left (factor)", title="Only the residual leaves one half at every step (closed form)")
ax.legend(title="steps at which the gap shrinks (grey)", ncols=2)
lessons.show(fig)

# %% tags=["proof"]
shrinks = {name: (int(np.isclose(factor, 0.5).sum()), int((factor < 1).sum())) for name, factor in left.items()}
assert shrinks == {"the residual r": (50, 50), "wrong sign": (0, 0), "circulating": (0, 0), "mended": (1, 19)}

# %% [markdown] tags=["see"]
# **What you should see.** The blue line lies at one half, as the law says. With the wrong sign the gap grows at
# every step. The circulating formula never helps, and is worst at both ends. Mended, it asks for too much early on,
# while the gap is still hidden under noise, and is right only at the very last step.

# %% [markdown] tags=["idea"]
# ## Which alpha?
#
# The user's $\alpha$ is a *rate*: gap per unit of $\sigma$. There are two ways to turn a rate into the share of
# one step.
#
# - **Literal** (one Euler step of the rate): $\kappa = \alpha\,dt$. The law turns it into the factor
#   $1 - \alpha\,dt\,(1+\beta)$, which shrinks the gap only while $0 < \alpha\,dt\,(1+\beta) < 2$.
# - **Exact** (the rate integrated over the step): $\kappa\,(1+\beta) = 1 - e^{-\alpha\,(1+\beta)\,dt}$. The factor is
#   $e^{-\alpha\,(1+\beta)\,dt}$, always between 0 and 1. The package uses this one for rates.
#
# Or give the share $\kappa$ itself, as the preset `method` does. That a strong correction closes the gap does not mean
# that it makes the better edit: lesson 06 has the figures. Here is a run with ideal fields: each branch heads straight
# for a single point, and the two points lie $D$ apart. Without correction the gap at the end is $D$.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.correction import Euler, Exact
from flowedit.toy import branches_of, point_mass
branches = branches_of(point_mass([1.0]), point_mass([0.0]), np.array([[0.5]]), 1.0)
def final_gap(gain, steps):
    sigmas = wan_sigmas(steps)
    return [step.gap.item() for step in two_branches(branches, sigmas, kappas_of(gain, sigmas))][-1]
for steps in (50, 30, 20, 10):
    literal, exact = final_gap(Euler(10.0), steps), final_gap(Exact(10.0), steps)
    print(f"{steps} steps, last dt {wan_sigmas(steps)[-2]:.3f}: literal gap {literal:+.2f} D, exact {exact:+.2f} D")

# %% tags=["proof"]
for steps in (50, 30, 20, 10):
    last, gaps = wan_sigmas(steps)[-2], [final_gap(gain(10.0), steps) for gain in (Euler, Exact)]
    assert np.allclose(gaps, (1 - 10 * last, np.exp(-10 * last)))
    assert (abs(gaps[0]) < 1) == (steps > 20)

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=2, height=3.2, sharey=True)
alphas = np.linspace(0, 20, 21)
for ax, gain, name in zip(axes, (Euler, Exact), ("Literal: κ = α dt", "Exact: κ = 1 − exp(−α dt)")):
    for steps, marker in zip((50, 30, 20, 10), "o^sd"):
        ax.plot(alphas, [final_gap(gain(a), steps) for a in alphas], label=f"{steps} steps", marker=marker, markevery=5)
    ax.axhspan(-1, 1, color="0.54", alpha=0.12, lw=0)
    ax.set(title=name, xlabel="rate α", ylim=(-3.2, 1.3))
axes[0].set_ylabel("gap at the end, in units of D")
axes[1].legend(title="closed form; grey: no worse than nothing", loc="lower center", ncols=2)
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Left, every line is straight and leaves the grey band once $\alpha$ is too large for its
# last step; at $\alpha = 10$ that has happened with 20 and with 10 steps, and with 30 steps the edit has already shot
# past the keyframe. Right, no line can leave the band: a larger rate only brings it closer to 0.

# %% [markdown] tags=["idea"]
# ## What a push is worth
#
# An ideal field points at its one clip from wherever it is. Push the branch aside and the next step leads it back:
# only the *last* push counts, and the final gap is $(1 - \kappa_{last})\,D$.
#
# A trained model is not like that. It reads from where it stands what the clip is going to be, so part of every
# push stays. Gaussian data of some *spread* behave like this, and their field is known exactly. The cell corrects the
# same 20 steps either all the time or only at the last step.

# %% tags=["see"]
from flowedit.toy import last_only
from flowedit.widgets import GapExplorer
sigmas = wan_sigmas(20)
always = kappas_of(Exact(10.0), sigmas)
for spread in (0.0, 0.5, 1.0):
    start = branches_of(gaussian([1.0], spread), gaussian([0.0], spread), np.array([[0.5]]), 1.0)
    every, last = (list(two_branches(start, sigmas, kappas))[-1].gap.item() for kappas in (always, last_only(always)))
    print(f"spread {spread}: final gap {every:.3f} D corrected at every step, {last:.3f} D only at the last")
GapExplorer(steps=20, alpha=10.0, spread=0.5)

# %% [markdown] tags=["see"]
# **What you should see.** Three curves of the gap, step by step: corrected always, only at the last step, never. Set the
# spread to 0 and the first two meet at the end; raise it and they part. Change the gain to *euler* and look for steps
# at which the gap grows. Everything is drawn in your browser, from the closed form.

# %% tags=["predict"]
lessons.recall("01")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - The residual is the gap that the next step would leave; the correction leaves $1 - \kappa(1+\beta)$ of it, for any
#   model and any noise.
# - A rate has to be integrated over the step. The literal $\kappa = \alpha\,dt$ overshoots on long steps.
# - One noise makes a residual a reading of paint, and an unpainted keyframe leaves the source untouched. That it makes
#   painted edits better is not a law: the record says what it did.
#
# **Answers to the predictions.** (1) With 50 steps: yes. With 30: yes, but the edit ends *beyond* the keyframe. With 20
# and with 10: no, the gap ends larger than with no correction. (2) The law would hold all the same. But the correction
# would pull at noise: unpainted keyframes would move the clip, and the result would depend on the draw.
#
# **What breaks it.** The wrong sign; clean latents beside noisy ones; a model that moves its latents after the
# correction (lesson 08). And the law speaks of the keyframes' slots only: what happens *between* keyframes is up to the
# model (lessons 03 and 05).
#
# **Next:** [02 · Flows you can solve by hand](02_flows_by_hand.ipynb).
#
# <small>Sources: rectified flow, Liu et al. 2022 (arXiv 2209.03003); Wan's noise levels, arXiv 2503.20314.</small>
