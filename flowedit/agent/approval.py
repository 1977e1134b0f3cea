"""A waiting run as pictures to look at, and a person's answer back to it: what a gallery in a notebook is handed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from flowedit.agent.result import StyleResult
from flowedit.agent.run import answer
from flowedit.agent.sample import Source
from flowedit.agent.state import Decision, Verdict
from flowedit.errors import AgentError
from flowedit.media.images import read_image

Picture = UInt8[np.ndarray, "_H _W 3"]
Pair = tuple[Picture, Picture, int, dict[str, Any]]
"""(source frame, styled keyframe, clip frame, the judge's numbers by name and its "reasons")."""


def pairs_of(waiting: StyleResult) -> list[Pair]:
    """Each keyframe of a run that waits for an answer, beside its source.

    Args:
        waiting: what `style_video` gave with `approver=leave_waiting`.

    Raises:
        AgentError: the run does not wait.

    Example:
        >>> from flowedit.widgets import KeyframeGallery  # doctest: +SKIP
        >>> KeyframeGallery(pairs_of(waiting), resume=answering("clip.mp4", "styled"))  # doctest: +SKIP
    """
    asked = waiting.request
    if asked is None:
        raise AgentError(f"The run in {waiting.folder} is {waiting.status}; only a waiting one asks for an answer.")
    return [
        (
            read_image(waiting.folder / asked.sources[index]),
            read_image(waiting.folder / name),
            index,
            _scores(asked.verdicts[index]),
        )
        for index, name in asked.files.items()
    ]


def answering(video: str | Path | Source, folder: str | Path) -> Callable[[Mapping[str, Any]], list[Pair] | None]:
    """A function that hands a person's answer to the waiting run.

    Args:
        video: the run's clip.
        folder: the run's folder.

    Returns:
        `{"approve": True, "redo": {clip frame: reason}}` to the keyframes to look at again, or None when the run is
        over; it takes as long as the run goes on.

    The function raises an `AgentError` for an answer without a reason, or to a frame that is no keyframe; the run then
    waits as before.
    """

    def resume(said: Mapping[str, Any]) -> list[Pair] | None:
        result = answer(video, folder, Decision.model_validate(said))
        return pairs_of(result) if result.status == "waiting" else None

    return resume


def _scores(verdict: Verdict) -> dict[str, Any]:
    numbers = {"contours kept": verdict.structure, "colours apart": verdict.disagreement, "changed": verdict.change}
    if verdict.style_distance is not None:
        numbers["from the reference"] = verdict.style_distance
    return {**numbers, "reasons": [fault.text for fault in verdict.faults]}
