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
# # 02 · Flows you can solve by hand
#
# {{badges}}
#
# **You will learn** to *derive* the velocity field of simple data, to *measure* how fast a solver's error falls, and
# to *edit* by the difference of two fields.
#
# **You need** the mean of a random variable; lesson [01](01_math_verification.ipynb) shows what this is for. Words are
# in the [glossary](glossary.md), symbols in the [table of notation](notation.md).
#
# {{measured}}

# %% tags=["setup"]

# %% [markdown] tags=["predict"]
# ## Before you run anything
#
# **Three questions.**
#
# 1. Twice as many steps: by what factor does the error of Euler's method fall? And that of Heun's?
# 2. You edit a clip from the prompt "a red ball" to the *same* prompt, "a red ball". How much does it change?
# 3. A row of four clusters is to be lifted. If you throw the row away and generate the lifted one from noise, what
#    share of the points ends up in the column where it began?

# %% tags=["predict"]
lessons.predict("02", "", "", "")

# %% [markdown] tags=["idea"]
# ## The field is an average
#
# Many pairs of data $z$ and noise $n$ pass through one point $x = (1-\sigma)\,z + \sigma\,n$, each with its own velocity
# $n - z$. A flow model learns their mean:
#
# $$v(x, \sigma) = E\,[\,n - z \mid x\,]$$
#
# For data made of round Gaussians this mean has a closed form: each component $k$ has its own velocity, and they are
# averaged by how likely $k$ is, given $x$. `Mixture.velocity` is that formula: no training, no error.
#
# The cell below checks it the slow way, at one point: it draws 200 000 clips $z$, finds the noise $n$ that puts each of
# them at $x$, and averages, weighting by how likely that noise is.

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
import numpy as np
from flowedit.toy import SCENES
data, x, sigma = SCENES["clusters"].target, np.array([0.8, 0.3]), 0.5
z = data.sample(200_000, np.random.default_rng(0))
n = (x - (1 - sigma) * z) / sigma
weight = np.exp(-(n**2).sum(axis=1, keepdims=True) / 2)
mean = (weight * (n - z)).sum(axis=0) / weight.sum()
error = np.sqrt((weight**2 * (n - z - mean) ** 2).sum(axis=0)) / weight.sum()
print("within four standard errors:", (np.abs(mean - data.velocity(x[None], sigma)[0]) < 4 * error).all())

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=3, height=2.9, sharey=True)
side = np.linspace(-2.6, 2.6, 61)
grid = np.stack(np.meshgrid(side, side), axis=-1)
for ax, level in zip(axes, (0.9, 0.5, 0.1)):
    ax.contourf(side, side, data.density(grid.reshape(-1, 2), level).reshape(61, 61), 12, cmap="cividis")
    v = -data.velocity(grid.reshape(-1, 2), level).reshape(61, 61, 2)
    ax.streamplot(side, side, v[..., 0], v[..., 1], color="white", linewidth=0.6, arrowsize=0.7, density=0.7)
    ax.set(title=f"noise level σ = {level}", aspect="equal", xlabel="first coordinate")
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Closed-form fields of three clusters; bright is likely, arrows show the way to the data. Under
# strong noise all arrows agree on the middle: the field cannot know yet which cluster it will be. As noise falls the
# clusters part, and so do the arrows.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.1: two possible clips
#
# *Difficulty ●●●○○ · 8 minutes.* The data are two single points, `a` and `b`, equally likely. Return the velocity at
# `x`. One point $c$ alone has the velocity $(x - c)/\sigma$.
#
# <details><summary>Hint 1</summary>Given x, point c needs the noise (x - (1 - σ) c) / σ. A standard normal noise n has
# likelihood exp(-|n|² / 2), up to a factor that both share.</details>
# <details><summary>Hint 2</summary>Turn the two likelihoods into weights that sum to 1, and average the two
# velocities with them.</details>

# %% tags=["stub"]
def velocity_of_two(x, sigma, a, b):
    """Return the velocity at x, an array of shape (2,)."""
    raise NotImplementedError("Exercise 2.1")

# %% tags=["check"]
lessons.check("2.1", velocity_of_two)

# %% tags=["solution"]
def velocity_of_two(x, sigma, a, b):
    """Return the velocity at x, an array of shape (2,)."""
    noise_a, noise_b = ((x - (1 - sigma) * c) / sigma for c in (a, b))
    share = 1 / (1 + np.exp((noise_a**2).sum() / 2 - (noise_b**2).sum() / 2))
    return share * (x - a) / sigma + (1 - share) * (x - b) / sigma

# %% [markdown] tags=["idea"]
# ## How good is a solver?
#
# A solver takes finitely many steps. **Euler** uses the velocity at the start of a step, **Heun** the mean of both ends.
# A method has *order* $p$ when the error falls like $steps^{-p}$: on a log-log plot, a line of slope $-p$.
#
# The exact flow of a single Gaussian with mean $m$ and spread $s$ is known, so the error can be measured:
#
# $$x(\sigma) = (1-\sigma)\,m + \sqrt{(1-\sigma)^2 s^2 + \sigma^2}\;n$$

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.schedule import wan_sigmas
from flowedit.toy import SOLVERS, gaussian, gaussian_flow, observed_order, solve
blob, noise = gaussian([1.0, -0.5], 0.6), np.random.default_rng(1).standard_normal((256, 2))
exact, counts = gaussian_flow(blob, noise, 0.0), (8, 16, 32, 64, 128)
def error_of(solver, count):
    return np.abs(solve(solver, blob.velocity, noise, wan_sigmas(count, shift=1.0)) - exact).max()
errors = {}
for name, solver in SOLVERS.items():
    errors[name] = [error_of(solver, count) for count in counts]
    print(f"{name}: observed order {observed_order(errors[name], counts):.1f}")

# %% tags=["proof"]
assert (np.abs(mean - data.velocity(x[None], sigma)[0]) < 4 * error).all()
for values, order in zip(errors.values(), (1, 2)):
    assert abs(observed_order(values, counts) - order) < 0.1

# %% tags=["see", "keep_output"]
fig, ax = lessons.figure(height=2.9)
for (name, values), marker in zip(errors.items(), "o^"):
    ax.loglog(counts, values, marker=marker, label=f"{name}, order {observed_order(values, counts):.2f}")
for order in (1, 2):
    ax.loglog(counts, [errors["euler"][0] * (8 / c) ** order for c in counts], color="0.54", lw=0.8)
ax.set(xlabel="steps", ylabel="largest error", title="Error against the exact flow (grey: slopes −1 and −2)")
ax.set_xticks(counts, counts)
ax.legend()
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** Two straight lines. Euler's runs beside the grey line of slope −1, Heun's beside that of slope
# −2. Heun asks for the velocity twice per step, so 16 of its steps cost as much as 32 of Euler's: compare those
# two points.

# %% tags=["see"]
from flowedit.widgets import FlowField2D
FlowField2D(scene="clusters", solver="euler", steps=12)

# %% [markdown] tags=["see"]
# **What you should see.** Points flow from noise to the data of a scene, in your browser, by the same closed form.
# Lower the number of steps until clusters smear; switch Euler to Heun; then switch to the *difference* flow, which
# the next section explains.

# %% [markdown] tags=["idea"]
# ## Editing by a difference
#
# To edit a clip $z_{src}$ we do not want *a* sample of the target: we want *this* clip, changed. Let the edit $z$ start
# at the source. At each $\sigma$ noise the source and displace the edit by the same amount:
#
# $$x_{src} = (1-\sigma)\,z_{src} + \sigma\,n, \qquad x_{tar} = z + x_{src} - z_{src}$$
#
# and move the edit by the *difference* of the two velocities:
#
# $$\frac{dz}{d\sigma} = v_{tar}(x_{tar}) - v_{src}(x_{src})$$
#
# What both fields agree on cancels. If the prompts are the same, everything does.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.2: the difference field
#
# *Difficulty ●●●○○ · 8 minutes.* Write $dz/d\sigma$ for an edit `z`.
#
# <details><summary>Hint 1</summary>The source side never sees z.</details>
# <details><summary>Hint 2</summary>At z = source both sides must look at the same point.</details>

# %% tags=["stub"]
def difference(z, sigma, source, noise, v_source, v_target):
    """Return the velocity of the edit z; both fields take (points, sigma)."""
    raise NotImplementedError("Exercise 2.2")

# %% tags=["check"]
lessons.check("2.2", difference)

# %% tags=["solution"]
def difference(z, sigma, source, noise, v_source, v_target):
    """Return the velocity of the edit z; both fields take (points, sigma)."""
    x_source = (1 - sigma) * source + sigma * noise
    x_target = z + x_source - source
    return v_target(x_target, sigma) - v_source(x_source, sigma)

# %% tags=["code", "keep_output"]
# NBVAL_CHECK_OUTPUT
from flowedit.toy import difference_field, euler
rows, noise = SCENES["rows"], np.random.default_rng(2).standard_normal((400, 2))
start, grid = rows.source.sample(400, np.random.default_rng(3)), wan_sigmas(20)
same = difference_field(rows.source.velocity, rows.source.velocity, start, noise)
lift = difference_field(rows.source.velocity, rows.target.velocity, start, noise)
print("same prompt, largest change below 1e-12:", np.abs(solve(euler, same, start, grid) - start).max() < 1e-12)
ends = {"edited": solve(euler, lift, start, grid), "made anew": solve(euler, rows.target.velocity, noise, grid)}
def column_of(points):
    return np.abs(points[:, :1] - rows.source.means[:, 0]).argmin(axis=1)
kept = {name: (column_of(end) == column_of(start)).mean() for name, end in ends.items()}

# %% tags=["proof"]
assert np.abs(solve(euler, same, start, grid) - start).max() < 1e-12
assert kept["edited"] > 0.99 and abs(kept["made anew"] - 1 / 4) < 0.05

# %% tags=["see", "keep_output"]
fig, axes = lessons.figure(columns=2, height=3.3, sharey=True)
column = column_of(start)
for ax, (name, end) in zip(axes, ends.items()):
    for k, marker in enumerate("o^sd"):
        a, b = start[column == k], end[column == k]
        ax.plot([a[:25, 0], b[:25, 0]], [a[:25, 1], b[:25, 1]], "-", color=f"C{k}", lw=0.4)
        ax.plot(*b.T, marker, color=f"C{k}", ms=3)
    ax.set(title=f"{name}: {kept[name]:.0%} stay in their column", xlabel="first coordinate")
lessons.show(fig)

# %% [markdown] tags=["see"]
# **What you should see.** A row of four clusters, lifted; colour and marker say in which column a point began. Left, the
# difference flow lifts every point straight up: the two fields differ by the lift alone. Right, made anew from noise,
# the row is just as good and the columns are shuffled. That is what *editing* adds to generating.

# %% tags=["predict"]
lessons.recall("02")

# %% [markdown] tags=["recap"]
# ## Recap
#
# - A flow model's velocity is the mean velocity of all pairs that pass through a point. Under strong noise it can only
#   point at the middle of what is possible.
# - Euler has order 1 and Heun order 2. Both are measured here, against an exact solution.
# - The difference of two velocities moves a clip only where source and target differ.
#
# **Answers to the predictions.** (1) By 2, and by 4. (2) Not at all, to the last digits. (3) About one in four: chance.
#
# **What breaks it.** Different noise on the two sides, other guidance on one side, or a displacement that forgets
# to subtract the source: then the same prompt is no longer the identity.
#
# **Next:** [03 · Frames, latents, keyframes](03_frames_latents_keyframes.ipynb).
#
# <small>Sources: Lipman et al. 2023 (arXiv 2210.02747), section 3, for the mean velocity; Karras et al. 2022 (arXiv
# 2206.00364), algorithm 1, for Heun; Kulikov et al. 2024 (arXiv 2412.08629) for the difference of velocities.</small>
