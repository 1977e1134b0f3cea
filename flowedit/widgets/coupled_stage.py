"""The method on one stage: a clip, a keyframe and their noise in a plane, with each of the three ideas on or off."""

from collections.abc import Sequence

import numpy as np
import traitlets

from flowedit.correction import Gain
from flowedit.show.display import figure_tag, table_tag
from flowedit.toy import stage as toy
from flowedit.widgets._base import FlowWidget
from flowedit.widgets._sprites import encode_clip
from flowedit.widgets.export import script, style

SEEDS = 24


class CoupledStage(FlowWidget):
    """Five frames and one painted keyframe, each tied to its noise, moved by the fields of `flowedit.toy.stage`.

    Keys on the picture: arrows step, Home and End, space plays.

    Args:
        gain: of the correction where it is on, such as that of a preset's settings.
        strips: pictures of the same eight edits by a model, uint8 (8, H, W, 3), counted in binary by noise, position
            and correction, on being 1.
        strips_name: what they are, in a sentence.

    Attributes:
        one_noise: whether the keyframe has the noise of its frame.
        shared_position: whether its token has the position of its frame, and not the one after the clip.
        corrected: whether the correction runs.
        at: step shown.
        seed: draw of the noise, 0 to 23.

    >>> stage = CoupledStage(one_noise=False)
    >>> len(stage.moments())
    17
    """

    _esm = script("player", "chart", "controls", "coupled_stage")
    _css = style("coupled_stage")

    stage = traitlets.Dict().tag(sync=True)
    strips = traitlets.Dict().tag(sync=True)
    one_noise = traitlets.Bool(default_value=True).tag(sync=True)
    shared_position = traitlets.Bool(default_value=True).tag(sync=True)
    corrected = traitlets.Bool(default_value=True).tag(sync=True)
    at = traitlets.Int(0, min=0).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=SEEDS - 1).tag(sync=True)

    def __init__(
        self,
        gain: Gain = toy.GAIN,
        *,
        strips: Sequence[np.ndarray] | np.ndarray = (),
        strips_name: str = "",
        **traits: object,
    ) -> None:
        self._gain = gain
        steps = -np.diff(toy.SIGMAS)
        shares = {
            name: (toy.expected(shared_position=shared)[:, 1] / toy.STYLE[1]).tolist()
            for name, shared in (("shared", True), ("appended", False))
        }
        known = {
            "source": toy.SOURCE.tolist(),
            "style": toy.STYLE.tolist(),
            "slot": toy.SLOT,
            "sigmas": list(toy.SIGMAS),
            "kappas": [gain(float(dt)) for dt in steps],
            "spread": toy.SPREAD,
            "shares": shares,
            "draws": [toy.draw(seed).tolist() for seed in range(SEEDS)],
        }
        encoded = {"name": strips_name, **encode_clip(np.asarray(strips))} if len(strips) else {}
        heading = "One noise, one position, one correction"
        super().__init__(stage=known, strips=encoded, **{"heading": heading, "note": "closed form", "at": 8, **traits})

    def moments(self) -> list[toy.Moment]:
        """What the browser computes, from the package's own equations."""
        chosen = toy.Switches(
            one_noise=self.one_noise, shared_position=self.shared_position, corrected=self.corrected, gain=self._gain
        )
        return list(toy.play(chosen, toy.draw(self.seed)))

    def _still(self) -> str:
        from flowedit.show.figures import Shown  # matplotlib takes a second to load

        moments = self.moments()
        now, key = moments[min(self.at, len(moments) - 1)], toy.SOURCE[toy.SLOT] + toy.STYLE
        words = (
            f"Five frames and a keyframe with their noise at step {self.at}: gap {now.gap:.2f}; at the end frame "
            f"{toy.SLOT} is {moments[-1].gap:.2f} from the painting."
        )
        figure = Shown(figsize=(6, 4), layout="constrained")
        axis = figure.subplots()
        for frame, noised in zip(now.edit, now.x_main, strict=True):
            axis.plot(*zip(frame, noised, strict=True), color="#0a6c8f", lw=1)
        axis.plot(*zip(key, now.x_key, strict=True), color="#ad4518", lw=1)
        axis.plot(*now.edit.T, "o", color="#0a6c8f", label="frames of the edit")
        axis.plot(*key, "D", color="#ad4518", label="the painting")
        axis.plot(*zip(now.x_main[toy.SLOT], now.x_key, strict=True), color="#b3261e", lw=3, label="gap")
        axis.legend(ncols=3)
        rows = [(i, m.sigma, m.gap, *m.edit[:, 1].tolist()) for i, m in enumerate(moments) if i % 4 == 0]
        columns = ("step", "sigma", "gap", *(f"paint of frame {i}" for i in range(toy.FRAMES)))
        return figure_tag(figure, words) + table_tag(words, columns, rows)
