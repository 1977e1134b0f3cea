"""Keep a long edit's state on disk while it runs, and go on from it after a crash with the same result.

A state is one safetensors file, moved to its place whole: after a crash at any moment there is the old state or the new
one, never half of one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from flowedit.errors import ModelError
from flowedit.files import digest_of, make_folder, only_file, write_bytes
from flowedit.runfolder import STATE
from flowedit.trace import StepTrace

if TYPE_CHECKING:
    from flowedit.edit.preparation import PreparedEdit
    from flowedit.methods.branches import Step

FORMAT = "flowedit-state-4"
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
        tensors = {str(i): latents.detach().cpu().contiguous().clone() for i, latents in enumerate(self.carried)}
        header = _Header(edit=digest, content=_content(digest, self.traces, tensors.values()), traces=self.traces)
        data = save(tensors, metadata={FORMAT: header.model_dump_json()})
        write_bytes(make_folder(path.parent) / path.name, data)

    @classmethod
    def load(cls, path: Path, digest: str, device: torch.device | str = "cpu") -> "ResumeState | None":
        """Read the state of the edit with this digest; None when there is none.

        Raises:
            ModelError: the state is of another edit, was changed, or the file is none.
        """
        if not path.exists():
            return None
        begin = "delete it to start from the beginning."
        try:
            with safe_open(only_file(path), framework="pt") as file:
                header = _Header.model_validate_json((file.metadata() or {}).get(FORMAT, ""))
                carried = [file.get_tensor(name) for name in sorted(file.keys())]
            if header.content != _content(header.edit, header.traces, carried):
                raise ValueError("its contents were changed")
        except (SafetensorError, OSError, ValueError, IndexError) as error:
            raise ModelError(f"{path} is no saved state of this version, or a damaged one; {begin}") from error
        if header.edit != digest:
            raise ModelError(
                f"{path} belongs to a run with other settings, source, keyframes or LoRAs. Give those, or {begin}"
            )
        return cls(traces=header.traces, carried=tuple(latents.to(device) for latents in carried))


class _Header(BaseModel):
    """What a state's file says of itself: the digests of its edit and of all that it holds, and the readings so far."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    edit: str
    content: str
    traces: tuple[StepTrace, ...]


def _content(digest: str, traces: tuple[StepTrace, ...], carried: Iterable[Tensor]) -> str:
    """A digest of all that a state holds: a changed one would be gone on with to another result."""
    return digest_of(digest, *traces, *(part for latents in carried for part in (str(latents.dtype), latents)))


class StateKeeper:
    """The state file of one edit, at `path`."""

    def __init__(
        self, folder: Path, prepared: "PreparedEdit", *more: np.ndarray | dict[str, Any], every: int = SAVE_EVERY
    ) -> None:
        """Keep the state of an edit in a run's folder, every so many steps.

        `more` decides the result beside the edit, such as a mask, or what is recorded of a LoRA: a state is never
        carried into another edit.
        """
        self.path, self._every, self._prepared = folder / STATE, every, prepared
        keyframes = [part for keyframe in prepared.keyframes for part in (keyframe.index, keyframe.image)]
        # Latents are left out: a GPU may encode the same clip to other last bits, which must not bar the way.
        settings = prepared.settings.to_dict()
        self._digest = digest_of(settings, prepared.model.name, *keyframes, prepared.frames, *more)

    def load(self) -> ResumeState | None:
        """What a stopped run of this very edit left, as `ResumeState.load` does."""
        return ResumeState.load(self.path, self._digest, self._prepared.problem.source.device)

    def keep(self, step: "Step") -> None:
        """Write the state after a step, when it is time; the last step needs none."""
        traces = self._prepared.trace.steps
        if len(traces) % self._every == 0 and step.trace.sigma_next > 0:
            ResumeState(traces=tuple(traces), carried=step.carried).save(self.path, self._digest)
