"""The coupled stage: five frames of a clip and one painted keyframe in a plane, moved by fields in closed form.

Across is what a frame shows, up is how it is painted. The method is `difference` as the package runs it. The model of
the stage expects the painting at frames near the position at which it sees the keyframe's token, and believes in it by
`TRUST`; the correction acts on the keyframe's own frame.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from flowedit.correction import Constant, Gain, correct, residual
from flowedit.flow import euler_step, interpolate, velocity
from flowedit.schedule import wan_sigmas
from flowedit.toy.mixture import gaussian

FRAMES, SLOT = 5, 2
SOURCE = np.stack([np.linspace(-2, 2, FRAMES), np.zeros(FRAMES)], axis=1)
STYLE = np.array([0.0, 1.6])
REACH, TRUST, SPREAD = 1.2, 0.6, 0.35
SIGMAS = wan_sigmas(16, strength=0.95, shift=3.0)
GAIN = Constant(0.25)


@dataclass(frozen=True, kw_only=True)
class Switches:
    """The three ideas, each on or off; `gain` is the correction's where it is on."""

    one_noise: bool = True
    shared_position: bool = True
    corrected: bool = True
    gain: Gain = GAIN


@dataclass(frozen=True, eq=False)
class Moment:
    """The stage at `sigma`: the edit (5, 2), its noised frames `x_main` (5, 2), the noised keyframe `x_key` (2,)."""

    sigma: float
    edit: np.ndarray
    x_main: np.ndarray
    x_key: np.ndarray

    @property
    def gap(self) -> float:
        """Distance of the noised keyframe from the clip's noised frame in its slot."""
        return float(np.linalg.norm(self.x_main[SLOT] - self.x_key))


def expected(*, shared_position: bool, style: np.ndarray = STYLE) -> np.ndarray:
    """Where the model expects each frame to be painted, (5, 2): nearest to the painting where it sees the token."""
    position = SLOT if shared_position else FRAMES
    away = np.arange(FRAMES) - position
    return SOURCE + TRUST * np.exp(-(away**2) / (2 * REACH**2))[:, None] * style


def draw(seed: int) -> np.ndarray:
    """Noise (6, 2): of the clip's frames, and last the one of a keyframe that does not share the clip's."""
    return np.random.default_rng(seed).standard_normal((FRAMES + 1, 2))


def play(switches: Switches, noises: np.ndarray, style: np.ndarray = STYLE) -> Iterator[Moment]:
    """The stage from noise to data, one moment a step: the package's own equations on closed fields."""
    noise, key = noises[:FRAMES], SOURCE[SLOT] + style
    noise_key = noise[SLOT] if switches.one_noise else noises[FRAMES]
    v_target, v_source = field(expected(shared_position=switches.shared_position, style=style)), field(SOURCE)
    edit = SOURCE
    for sigma, sigma_next in pairwise(SIGMAS):
        dt, x_source = sigma - sigma_next, interpolate(SOURCE, noise, sigma)
        x_main, x_key = edit + x_source - SOURCE, interpolate(key, noise_key, sigma)
        yield Moment(sigma, edit, x_main, x_key)
        v_main = v_target(x_main, sigma) - v_source(x_source, sigma) + velocity(SOURCE, noise)
        if switches.corrected:
            v_key = velocity(key, noise_key)
            r = residual(x_main[SLOT], x_key, v_main[SLOT], v_key, dt).r
            v_main[SLOT], _ = correct(v_main[SLOT], v_key, r, switches.gain(dt) / dt)
        edit = euler_step(edit, v_main - velocity(SOURCE, noise), sigma, sigma_next)
    yield Moment(0.0, edit, edit, key)


def field(centres: Sequence[np.ndarray] | np.ndarray) -> Callable[[np.ndarray, float], np.ndarray]:
    """The exact velocity of frames (5, 2) that lie `SPREAD` about a centre each."""
    known = [gaussian(centre, SPREAD) for centre in centres]
    return lambda x, sigma: np.concatenate([data.velocity(x[i : i + 1], sigma) for i, data in enumerate(known)])


def ends(switches: Switches, seed: int, style: np.ndarray = STYLE) -> np.ndarray:
    """Where the keyframe's frame ends, (2,), under a draw of the noise."""
    return list(play(switches, draw(seed), style))[-1].edit[SLOT]


def unpainted(switches: Switches, draws: int) -> np.ndarray:
    """How far that frame ends from its source, (draws, 2), when the keyframe is the source's own frame."""
    return np.array([ends(switches, seed, 0 * STYLE) - SOURCE[SLOT] for seed in range(draws)])


def rms(offsets: np.ndarray) -> float:
    """Root mean square length of offsets (n, 2)."""
    return float(np.sqrt((offsets**2).sum(axis=1).mean()))
