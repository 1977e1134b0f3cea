"""Keep a long edit's state on disk while it runs, and go on from it after a crash with the same result."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowedit.errors import ModelError
from flowedit.methods import Step
from flowedit.methods.branches import Begun
from flowedit.preparation import PreparedEdit
from flowedit.runfolder import STATE
from flowedit.trace import READINGS, StepTrace
from flowedit.wan.resume import hash_settings, load_state, save_state

SAVE_EVERY = 5
"""Steps between two states on disk: what a crash can cost."""


class StateKeeper:
    """The state file of one edit.

    Attributes:
        path: the file.
    """

    def __init__(
        self, folder: Path, prepared: PreparedEdit, *more: np.ndarray | dict[str, Any], every: int = SAVE_EVERY
    ) -> None:
        """Keep the state of an edit in a folder.

        Args:
            folder: the run's.
            prepared: the edit; a state is never carried into another one.
            more: what else decides the result, such as a mask, or what is recorded of a LoRA.
            every: steps between two states.
        """
        self.path = folder / STATE
        self._every = every
        self._prepared = prepared
        self._traces: list[StepTrace] = []
        images = [(keyframe.index, keyframe.image.tobytes()) for keyframe in prepared.keyframes]
        indices, pictures = [index for index, _ in images], [picture for _, picture in images]
        # Latents are left out: a GPU may encode the same clip to other last bits, which must not bar the way.
        self._hash = hash_settings(
            prepared.settings.to_dict(), prepared.model.name, indices, *pictures, prepared.frames, *more
        )

    def begun(self) -> Begun | None:
        """What a stopped run of this very edit left; None when there is nothing to go on with.

        Raises:
            ModelError: the state is of another edit, or broken.
        """
        state = load_state(self.path, self._hash)
        if state is None:
            return None
        like = self._prepared.problem.source
        try:
            main, key = (state.tensors[name].to(like.device) for name in ("main", "key"))
            steps = json.loads(state.tensors["trace"].numpy().tobytes())
        except (KeyError, ValueError) as error:
            raise ModelError(f"{self.path} holds no edit's state. Delete it to start from the beginning.") from error
        traces = tuple(_trace(step) for step in steps)
        self._traces = list(traces)
        return Begun(steps=traces, carried=(main, key))

    def keep(self, step: Step) -> None:
        """Take note of a step, and write the state when it is time; the last step needs none."""
        self._traces.append(step.trace)
        if step.carried is None or len(self._traces) % self._every or step.trace.sigma_next == 0:
            return
        main, key = step.carried
        written = json.dumps([asdict(trace) for trace in self._traces]).encode()
        trace = torch.frombuffer(bytearray(written), dtype=torch.uint8)
        save_state(self.path, len(self._traces), {"main": main, "key": key, "trace": trace}, self._hash)


def _trace(step: dict[str, Any]) -> StepTrace:
    """One step's readings, whose lists JSON made of tuples."""
    values: dict[str, Any] = {name: tuple(value) if name in READINGS else value for name, value in step.items()}
    return StepTrace(**values)
