"""Flows in the plane whose velocity is known exactly: particles integrated in the browser, no kernel needed."""

from collections.abc import Mapping

import numpy as np
import traitlets

from flowedit.errors import WidgetError
from flowedit.schedule import wan_sigmas
from flowedit.show.display import figure_tag, table_tag
from flowedit.toy import SCENES, SOLVERS, Scene, difference_field, trajectory
from flowedit.widgets._base import FlowWidget
from flowedit.widgets.export import script, style

MODES = ("generate", "edit")
MAX_STEPS = 200


class FlowField2D(FlowWidget):
    """Particles in the exact velocity field of a mixture, and the source-to-target difference flow.

    In mode "generate" they start as noise and follow the target's marginal velocity; in mode "edit" they start as
    source data and follow `v_target(x_target) - v_source(x_source)` with the same noise.

    Keys on the picture: left and right step, Home and End, space plays.

    Args:
        scenes: name to scene; by default those of `flowedit.toy`.
        particles: how many.
        seed: of the noise and of the source samples.

    Attributes:
        scene: name of the scene shown.
        mode: "generate" or "edit".
        solver: "euler" or "heun", with 1 to 200 `steps`.
        shift: bend of Wan's grid, positive; 1 is even.
        at: grid point shown, from 0 (start) to `steps` (end).
        pick: particle whose construction is drawn, or -1 for none.

    Raises:
        WidgetError: no scene, or one that is not in the plane.

    >>> field = FlowField2D(scene="points", mode="edit", steps=4, particles=3)
    >>> field.trajectories().shape
    (5, 3, 2)
    """

    _esm = script("player", "controls", "flow_field_2d")
    _css = style("flow_field_2d")

    scenes = traitlets.Dict().tag(sync=True)
    noise = traitlets.List().tag(sync=True)
    scene = traitlets.Unicode().tag(sync=True)
    mode = traitlets.Enum(MODES, "generate").tag(sync=True)
    solver = traitlets.Enum(tuple(SOLVERS), "euler").tag(sync=True)
    steps = traitlets.Int(12, min=1, max=MAX_STEPS).tag(sync=True)
    shift = traitlets.Float(1.0, min=1e-3).tag(sync=True)
    at = traitlets.Int(0, min=0).tag(sync=True)
    pick = traitlets.Int(-1, min=-1).tag(sync=True)

    def __init__(
        self, scenes: Mapping[str, Scene] = SCENES, *, particles: int = 120, seed: int = 0, **traits: object
    ) -> None:
        flat = [side.means.shape[1] == 2 for scene in scenes.values() for side in (scene.source, scene.target)]
        if not flat or not all(flat):
            raise WidgetError(f"Got scenes {list(scenes)}; this widget draws mixtures in the plane. Use 2-D means.")
        self._scenes = dict(scenes)
        rng = np.random.default_rng(seed)
        self._noise = rng.standard_normal((particles, 2))
        self._sources = {name: scene.source.sample(particles, rng) for name, scene in self._scenes.items()}
        super().__init__(
            scenes={
                name: {
                    "title": scene.title,
                    "source": scene.source.to_dict(),
                    "target": scene.target.to_dict(),
                    "samples": self._sources[name].tolist(),
                }
                for name, scene in scenes.items()
            },
            noise=self._noise.tolist(),
            **{"scene": next(iter(self._scenes)), "heading": "Flows in the plane", "note": "closed form", **traits},
        )

    def trajectories(self) -> np.ndarray:
        """The particles at every point of the grid, (steps + 1, particles, 2): what the browser computes."""
        scene = self._scenes[self.scene]
        sigmas = wan_sigmas(self.steps, shift=self.shift)
        solver = SOLVERS[self.solver]
        if self.mode == "generate":
            return trajectory(solver, scene.target.velocity, self._noise, sigmas)
        source = self._sources[self.scene]
        field = difference_field(scene.source.velocity, scene.target.velocity, source, self._noise)
        return trajectory(solver, field, source, sigmas)

    @traitlets.validate("scene")
    def _check_scene(self, proposal: traitlets.Bunch) -> str:
        if proposal["value"] not in self._scenes:
            raise WidgetError(f"No scene {proposal['value']!r}; this widget has {', '.join(self._scenes)}.")
        return proposal["value"]

    def _still(self) -> str:
        from flowedit.show.figures import Shown  # matplotlib takes a second to load

        paths, sigmas = self.trajectories(), wan_sigmas(self.steps, shift=self.shift)
        moved = np.linalg.norm(paths - paths[0], axis=2).mean(axis=1)
        start = "noise" if self.mode == "generate" else "source data"
        words = (
            f"{self._scenes[self.scene].title}: {len(self._noise)} particles from {start}, {self.steps} {self.solver} "
            f"steps, shift {self.shift:g}; they move {moved[-1]:.4g} on average."
        )
        figure = Shown(figsize=(4, 4), layout="constrained")
        axis = figure.subplots()
        axis.scatter(*paths[0].T, s=12, facecolors="none", edgecolors="#ad4518", label="start")
        axis.scatter(*paths[-1].T, s=12, color="#0a6c8f", label="end")
        axis.set_aspect("equal", "datalim")
        axis.legend()
        shown = np.unique(np.linspace(0, self.steps, min(self.steps + 1, 9)).round().astype(int)).tolist()
        rows = [(i, sigmas[i], *paths[i].mean(axis=0).tolist(), float(moved[i])) for i in shown]
        columns = ("step", "sigma", "mean x", "mean y", "mean distance from the start")
        return figure_tag(figure, words) + table_tag(words, columns, rows)
