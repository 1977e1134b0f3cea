"""What a styling run gives back, read from its folder: so a result is the same now and next week."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowedit.agent.colour import Picture
from flowedit.agent.events import Status, Usage, read_record
from flowedit.agent.folder import MANIFEST
from flowedit.agent.state import ApprovalRequest, Manifest, Verdict
from flowedit.errors import AgentError
from flowedit.files import only_file
from flowedit.media.images import read_image

Pair = tuple[Picture, Picture, int, dict[str, Any]]
"""(source frame, styled keyframe, clip frame, the judge's numbers by name and its "reasons")."""


@dataclass(frozen=True, kw_only=True)
class StyleResult:
    """A run's outcome.

    Attributes:
        folder: where everything lies.
        status: "done", "waiting" for a person, or "rejected" by one.
        indices: clip frames of the keyframes, in order.
        images: the styled keyframes, uint8 (H, W, 3), in the order of `indices`.
        metadata: the manifest: window, prompts, style card, and for each keyframe who painted it and the verdict.
        request: what a person is asked, where the run is waiting.
        usage: calls, tokens and estimated dollars of the run.
        notes: what did not go as planned, one sentence each.
    """

    folder: Path
    status: Status
    indices: tuple[int, ...] = ()
    images: tuple[Picture, ...] = ()
    metadata: dict[str, Any]
    request: ApprovalRequest | None = None
    usage: Usage
    notes: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """What the editor is told about the clip."""
        return str(self.metadata.get("prompt", ""))


def read_result(folder: str | Path) -> StyleResult:
    """The outcome of the run in a folder, what `flowedit edit` starts from; one that was killed is refused."""
    folder = Path(folder)
    record = read_record(folder)
    if record.status == "running":
        raise AgentError(f"The styling run in {folder} did not finish; repeat the same command to go on with it.")
    metadata, rows = {}, []
    if record.status == "done":
        try:
            manifest = Manifest.model_validate_json(only_file(folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise AgentError(f"{folder / MANIFEST} cannot be read ({reason}); style the clip again.") from None
        metadata = manifest.model_dump(mode="json", exclude_unset=True)
        rows = [(row.index, read_image(folder / row.file)) for row in manifest.keyframes]
    return StyleResult(
        folder=folder,
        status=record.status,
        indices=tuple(index for index, _ in rows),
        images=tuple(image for _, image in rows),
        metadata=metadata,
        request=record.waiting_for,
        usage=record.usage(),
        notes=tuple(record.notes()),
    )


def pairs_of(waiting: StyleResult) -> list[Pair]:
    """Each keyframe of a run that waits for an answer, beside its source: what a gallery in a notebook is handed."""
    asked, folder = waiting.request, waiting.folder
    if asked is None:
        raise AgentError(f"The run in {folder} is {waiting.status}; only a waiting one asks for an answer.")
    return [
        (read_image(folder / asked.sources[index]), read_image(folder / name), index, _scores(asked.verdicts[index]))
        for index, name in asked.files.items()
    ]


def _scores(verdict: Verdict) -> dict[str, Any]:
    numbers = {"contours kept": verdict.structure, "colours apart": verdict.disagreement, "changed": verdict.change}
    if verdict.style_distance is not None:
        numbers["from the reference"] = verdict.style_distance
    return {**numbers, "reasons": [fault.text for fault in verdict.faults]}
