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
# **You will learn** to *compute* the gap between an edit and its keyframe, to *predict* when the correction
# closes it, and to *recognise* the formulas that do not.
#
# **You need** vectors and a little algebra. The words and symbols are in the
# [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# The correction of this lesson has a rate, $\alpha = 10$. Taken literally, a step of length $dt$ removes the
# share $\kappa = \alpha\,dt$ of the gap. Wan's noise levels are not evenly spaced: the last step is the longest.
#
# **Write down four answers.** With 50, 30, 20 and 10 steps, is the gap at the end smaller than it would be
# without any correction?

# %% [markdown] tags=["idea"]
# ## One path, two branches
#
# A flow model works on a straight path between data $z$ and noise $n$. At noise level $\sigma$ (1 is noise, 0 is
# data) the path is at $x = (1-\sigma)\,z + \sigma\,n$, and its velocity is $v = n - z$.
#
# An edit runs two branches at the same $\sigma$: `main`, which is the clip, and `key`, which is a keyframe you
# painted. The **residual** is the gap that the next step would leave:
#
# $$r = (x_{main} - x_{key}) - (v_{main} - v_{key})\,dt$$
#
# The correction adds $\frac{\kappa}{dt}\,r$ to the main velocity and takes $\frac{\beta\kappa}{dt}\,r$ from the
# other. Put both into one Euler step and almost everything cancels. What is left is the **gap law**:
#
# $$gap_{next} = (1 - \kappa\,(1+\beta))\;r$$
#
# Neither the model nor the noise was used, so the law must hold for *any* four arrays: below, random ones.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
import numpy as np
from flowedit.correction import correct, gap_law, residual
from flowedit.flow import euler_step
dt, kappa, (x_main, x_key, v_main, v_key) = 0.1, 0.7, np.random.default_rng(0).standard_normal((4, 1000, 16))
r = residual(x_main, x_key, v_main, v_key, dt).r
for beta in (0.0, 0.5, 1.0):
    main, key = (euler_step(x, v, 0.5, 0.5 - dt) for x, v in
                 zip((x_main, x_key), correct(v_main, v_key, r, kappa / dt, beta)))
    print(f"beta {beta}: largest error below 1e-6:", np.abs(main - key - gap_law(r, kappa, beta)).max() < 1e-6)
    assert np.allclose(main - key, gap_law(r, kappa, beta), 0, 1e-6)

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
# We give each of the four the same share, $\kappa = 0.5$, on Wan's 50 steps, and measure one step at a time: what
# part of the gap is left? The law says one half.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.flow import interpolate
from flowedit.schedule import wan_sigmas
sigma, sigma_next = np.array([wan_sigmas(50)[:-1], wan_sigmas(50)[1:]])
z_i, z_k, n, kappa, dt = 1.0, 0.0, 0.5, 0.5, sigma - sigma_next
x_i, x_k = interpolate(z_i, n, sigma), interpolate(z_k, n, sigma)
r = residual(x_i, x_k, n - z_i, n - z_k, dt).r
forms = {"the residual r": r, "wrong sign": -r,
         "circulating": (z_i - z_k - x_k + x_i) / sigma, "mended": (z_i - z_k - x_i + x_k) / sigma}
assert (same := np.allclose(r, (1 - sigma_next) * (z_i - z_k)))
print("r is (1 - sigma_next) times the difference of the data:", same)

# %% tags=["see", "keep_output"]
(fig, ax), expected = lessons.figure(height=3.4), {"the residual r": (50, 50), "mended": (1, 19)}
for (name, form), marker in zip(forms.items(), "o^sd"):
    left = np.abs(euler_step(x_i - x_k, z_k - z_i + kappa / dt * form, sigma, sigma_next)) / r
    assert (np.isclose(left, 0.5).sum(), (left < 1).sum()) == expected.get(name, (0, 0)), name
    ax.plot(sigma, left, marker=marker, markevery=4, label=f"{name}: {(left < 1).sum()} of 50")
ax.axhspan(0.03, 1, color=lessons.COLOURS["grey"], alpha=0.12, lw=0)
ax.set(yscale="log", xlim=(1, 0), ylim=(0.03, 300), xlabel="noise level σ (an edit runs to the right)",
       ylabel="gap left (factor)", title="Only the residual leaves one half at every step (closed form)")
ax.legend(title="steps at which the gap shrinks (grey)", ncols=2)
lessons.show(fig)

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
#   $e^{-\alpha\,(1+\beta)\,dt}$, always between 0 and 1. The package uses this one.
#
# Here is a run with ideal fields: each branch knows one single point, $D$ apart, and heads straight for it.
# Without correction the gap at the end is $D$.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.correction import Euler, Exact
from flowedit.toy import branches_of, kappas_of, point_mass, two_branches
branches = branches_of(point_mass([1.0]), point_mass([0.0]), np.array([[0.5]]), 1.0)
def final_gap(gain, steps):
    sigmas = wan_sigmas(steps)
    return [step.gap.item() for step in two_branches(branches, sigmas, kappas_of(gain, sigmas))][-1]
for steps in (50, 30, 20, 10):
    last, gaps = wan_sigmas(steps)[-2], [final_gap(gain(10.0), steps) for gain in (Euler, Exact)]
    print("{} steps, last dt {:.3f}: literal gap {:+.2f} D, exact {:+.2f} D".format(steps, last, *gaps))
    assert np.allclose(gaps, (1 - 10 * last, np.exp(-10 * last))) and (abs(gaps[0]) < 1) == (steps > 20)

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=2, height=3.2, sharey=True)
alphas = np.linspace(0, 20, 21)
for ax, gain, name in zip(axes, (Euler, Exact), ("Literal: κ = α dt", "Exact: κ = 1 − exp(−α dt)")):
    for steps, marker in zip((50, 30, 20, 10), "o^sd"):
        ax.plot(alphas, [final_gap(gain(a), steps) for a in alphas], label=f"{steps} steps", marker=marker, markevery=5)
    ax.axhspan(-1, 1, color=lessons.COLOURS["grey"], alpha=0.12, lw=0)
    ax.set(title=name, xlabel="rate α", ylim=(-3.2, 1.3))
axes[0].set_ylabel("gap at the end, in units of D")
axes[1].legend(title="closed form; grey: no worse than nothing", loc="lower center", ncols=2)
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Left, every line is straight and leaves the grey band once $\alpha$ is too large for its
# last step; at $\alpha = 10$ that has happened with 20 and with 10 steps, and with 30 steps the edit has already shot
# past the keyframe. Right, no line can leave the band: a larger rate only brings it closer to 0.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.2: the largest stable rate
#
# *Difficulty ●●○○○ · 5 minutes.* For a grid of noise levels and a $\beta$, return the rate $\alpha$ below which the
# literal form shrinks the gap at *every* step.
#
# <details><summary>Hint 1</summary>Every step has its own dt; one of them decides.</details>
# <details><summary>Hint 2</summary>Solve α · dt · (1 + β) = 2 for α. np.diff gives differences of neighbours.</details>

# %% tags=["stub"]
def largest_alpha(sigmas, beta):
    """Return the bound on the rate, a number."""
    raise NotImplementedError("Exercise 1.2")

# %% tags=["check"]
lessons.check("1.2", largest_alpha)

# %% tags=["solution"]
def largest_alpha(sigmas, beta):
    """Return the bound on the rate, a number."""
    dt = -np.diff(sigmas)
    return 2 / (dt.max() * (1 + beta))

# %% [markdown] tags=["idea"]
# ## What a push is worth
#
# An ideal field points at its one clip from wherever it is. Push the branch aside and the next step leads it back:
# only the *last* push counts, and the final gap is $(1 - \kappa_{last})\,D$.
#
# A trained model is not like that. It reads from where it stands what the clip is going to be, so part of every
# push stays. Gaussian data of some *spread* behaves so, and its field is known exactly. The cell corrects the
# same 20 steps either all the time or only at the last step.

# %% tags=["see"]
from flowedit.toy import gaussian, last_only
from flowedit.widgets import GapExplorer
sigmas, kappas = wan_sigmas(20), kappas_of(Exact(10.0), wan_sigmas(20))
for spread in (0.0, 0.5, 1.0):
    start = branches_of(gaussian([1.0], spread), gaussian([0.0], spread), np.array([[0.5]]), 1.0)
    every, last = ([s.gap.item() for s in two_branches(start, sigmas, k)][-1] for k in (kappas, last_only(kappas)))
    print(f"spread {spread}: final gap {every:.3f} D corrected at every step, {last:.3f} D only at the last")
    assert np.isclose(every, last) if spread == 0 else every < last / 2
GapExplorer(steps=20, alpha=10.0, spread=0.5)

# %% [markdown] tags=["see"]
# **What you should see.** Three curves of the gap, step by step: corrected always, only at the last step, never. Set the
# spread to 0 and the first two meet at the end; raise it and they part. Change the gain to *euler* and look for steps
# at which the gap grows. Everything is drawn in your browser, from the closed form.

# %% [markdown] tags=["idea"]
# ## What one noise changes
#
# At noise level $\sigma$, with the *same* noise the branches differ by $(1-\sigma)\,D$: by style and nothing else.
# With *independent* noise the difference contains two noises as well, and its root mean square is
#
# $$\sqrt{(1-\sigma)^2 D^2 + 2\sigma^2}$$
#
# The gap law holds in both cases: it is algebra. What one noise changes is what a residual *means* on the way. Below,
# the lines are these formulas; the dots are measured on 40 000 random numbers with $D = 0.5$.

# %% tags=["see", "keep_output"]
fig, ax = lessons.figure(height=3.0)
t, (noise, other) = np.linspace(0, 1, 101), np.random.default_rng(1).standard_normal((2, 40_000))
for name, second, extra, marker in (("one noise", noise, 0, "o"), ("independent noise", other, 2, "^")):
    line, = ax.plot(t, np.sqrt((1 - t) ** 2 * 0.25 + extra * t**2), label=name)
    gaps = [np.sqrt(np.mean((interpolate(0.5, noise, s) - interpolate(0.0, second, s)) ** 2)) for s in t[::10]]
    ax.plot(t[::10], gaps, marker, color=line.get_color(), label=f"measured; at σ = {t[50]}: {gaps[5]:.2f}")
    assert np.allclose(gaps, line.get_ydata()[::10], rtol=0.02)
ax.set(xlim=(1, 0), xlabel="noise level σ", ylabel="rms of the gap", title="The gap between the branches, D = 0.5")
ax.legend()
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Half-way, the independent gap is three times the coupled one: $\sqrt{D^2 + 2}\,/\,D = 3$ for
# $D = 0.5$. Near $\sigma = 1$ the coupled gap goes to 0 and the other one does not. With one noise a residual reads as
# style at every step; with two it reads mostly as noise until the last steps, where both lines end at $D$.

# %% [markdown] tags=["recap"]
# ## Recap
#
# - The residual is the gap that the next step would leave; the correction leaves $1 - \kappa(1+\beta)$ of it, for any
#   model.
# - A rate has to be integrated over the step. The literal $\kappa = \alpha\,dt$ overshoots on long steps.
# - The law holds for any two branches. One noise for both makes the gap a reading of style, $(1-\sigma)\,D$, at every
#   step.
#
# **Your predictions.** With 50 steps: yes. With 30: yes, but the edit ends *beyond* the keyframe. With 20 and with
# 10: no, the gap ends larger than with no correction.
#
# **What breaks it.** The wrong sign; clean latents beside noisy ones; a model that moves its latents after the
# correction (lesson 08). And the law speaks of the keyframes' slots only: what happens *between* keyframes is up to the
# model (lessons 03 and 05).
#
# **Next:** [02 · Flows you can solve by hand](02_flows_by_hand.ipynb).
#
# <small>Sources: rectified flow, Liu et al. 2022 (arXiv 2209.03003); Wan's noise levels, arXiv 2503.20314.</small>
