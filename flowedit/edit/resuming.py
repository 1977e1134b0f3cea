"""Keep a long edit's state on disk while it runs, and go on from it after a crash with the same result.

A state is one safetensors file, moved to its place whole: after a crash at any moment there is the old state or the new
one, never half of one.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from flowedit.errors import ModelError
from flowedit.files import digest_of, make_folder, write_bytes
from flowedit.runfolder import STATE
from flowedit.trace import FIELDS, StepTrace

if TYPE_CHECKING:
    from flowedit.edit.preparation import PreparedEdit
    from flowedit.methods.branches import Step

FORMAT = "flowedit-state-2"
SAVE_EVERY = 5
"""Steps between two states on disk: what a crash can cost."""


@dataclass(frozen=True, kw_only=True)
class ResumeState:
    """A stopped run, to go on with: the same edit then takes the same remaining steps, to the last bit.

    Attributes:
        traces: what the steps done so far read, first to last.
        carried: the latents that the next step begins with.
    """

    traces: tuple[StepTrace, ...]
    carried: tuple[Tensor, ...]

    def save(self, path: Path, digest: str) -> None:
        """Write it, replacing the state before in a single move; latents are kept bit for bit in their types.

        Raises:
            OutputError: the folder cannot be written; a state that is there stays whole.
        """
        from safetensors.torch import save

        tensors = {str(i): latents.detach().cpu().contiguous().clone() for i, latents in enumerate(self.carried)}
        traces = json.dumps([asdict(trace) for trace in self.traces])
        metadata = {"format": FORMAT, "edit": digest, "traces": traces}
        write_bytes(make_folder(path.parent) / path.name, save(tensors, metadata=metadata))

    @classmethod
    def load(cls, path: Path, digest: str, device: torch.device | str = "cpu") -> "ResumeState | None":
        """Read it; None when there is none.

        Args:
            path: where `save` wrote it.
            digest: of the edit that wants to go on.
            device: where its latents go.

        Raises:
            ModelError: the state is of another edit, or the file is none.
        """
        from safetensors import SafetensorError, safe_open

        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                carried = tuple(file.get_tensor(name).to(device) for name in sorted(file.keys()))
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path} is no saved state, or a broken one. Delete it to start from the beginning."
            ) from error
        if metadata.get("format") != FORMAT:
            raise ModelError(f"{path} was not written by this version's runs. Delete it to start from the beginning.")
        if metadata["edit"] != digest:
            raise ModelError(
                f"{path} belongs to a run with other settings, source, keyframes or LoRAs. "
                "Give those, or delete it to start from the beginning."
            )
        return cls(traces=tuple(map(_trace, json.loads(metadata["traces"]))), carried=carried)


class StateKeeper:
    """The state file of one edit.

    Attributes:
        path: the file.
    """

    def __init__(
        self, folder: Path, prepared: "PreparedEdit", *more: np.ndarray | dict[str, Any], every: int = SAVE_EVERY
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
        keyframes = [part for keyframe in prepared.keyframes for part in (keyframe.index, keyframe.image)]
        # Latents are left out: a GPU may encode the same clip to other last bits, which must not bar the way.
        settings = prepared.settings.to_dict()
        self._digest = digest_of(settings, prepared.model.name, *keyframes, prepared.frames, *more)

    def load(self) -> ResumeState | None:
        """What a stopped run of this very edit left; None when there is nothing to go on with.

        Raises:
            ModelError: the state is of another edit, or broken.
        """
        return ResumeState.load(self.path, self._digest, self._prepared.problem.source.device)

    def keep(self, step: "Step") -> None:
        """Write the state after a step, when it is time; the last step needs none."""
        traces = self._prepared.trace.steps
        if len(traces) % self._every == 0 and step.trace.sigma_next > 0:
            ResumeState(traces=tuple(traces), carried=step.carried).save(self.path, self._digest)


def _trace(step: dict[str, Any]) -> StepTrace:
    """One step's readings, whose lists JSON made of tuples."""
    values: dict[str, Any] = {**step, **{name: tuple(step[name]) for name in FIELDS}}
    return StepTrace(**values)
