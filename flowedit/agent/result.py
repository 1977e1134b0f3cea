"""What a styling run gives back, read from its folder: so a result is the same now and next week."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from flowedit.agent.card import StyleCard
from flowedit.agent.events import Usage, read_record
from flowedit.agent.folder import MANIFEST
from flowedit.agent.state import ApprovalRequest
from flowedit.errors import AgentError
from flowedit.media.images import read_image

Picture = UInt8[np.ndarray, "H W 3"]


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
    status: Literal["waiting", "done", "rejected"]
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

    @property
    def card(self) -> StyleCard | None:
        """The style card; None before the keyframes are handed on."""
        style = self.metadata.get("style")
        return None if style is None else StyleCard.model_validate(style)


def read_result(folder: str | Path) -> StyleResult:
    """The outcome of the run in a folder: what `flowedit edit` starts from.

    Raises:
        AgentError: there is no run, or one that was killed and has to be run again to its end.
    """
    folder = Path(folder)
    record = read_record(folder)
    if record.status == "running":
        raise AgentError(f"The styling run in {folder} did not finish; repeat the same command to go on with it.")
    common = {"folder": folder, "usage": record.usage(), "notes": tuple(record.notes())}
    if record.status == "waiting":
        request = ApprovalRequest.model_validate(record.waiting_for)
        return StyleResult(status="waiting", metadata={}, request=request, **common)
    if record.status == "rejected":
        return StyleResult(status="rejected", metadata={}, **common)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        rows = [(int(row["index"]), read_image(folder / row["file"])) for row in manifest["keyframes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise AgentError(f"{folder / MANIFEST} cannot be read ({reason}); style the clip again.") from None
    indices, images = tuple(index for index, _ in rows), tuple(image for _, image in rows)
    return StyleResult(status="done", indices=indices, images=images, metadata=manifest, **common)
