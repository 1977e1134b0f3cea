"""What travels through the graph. Pictures stay on disk; the state holds their file names, so checkpoints are small."""

from operator import or_
from typing import Annotated, Literal, TypedDict

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from flowedit.agent.adjustment import ColourAdjustment
from flowedit.agent.card import OFFLINE, StyleCard
from flowedit.agent.colour import Frozen, Unit
from flowedit.errors import AgentError

Inside = Annotated[str, Field(pattern=r"^([\w-]+/)?[\w-]+\.(png|jpg|webp)$")]
"""Name of a picture inside the run's folder."""


class Plan(Frozen):
    """What is said to whoever draws a keyframe and to the editor; `reference` is the picture that all are styled after.

    All files named here and below lie inside the run's folder.
    """

    prompt: str
    video_prompt: str
    negative_prompt: str = ""
    reference: Inside | None = None


class Styled(Frozen):
    """One attempt, from 0, at a keyframe, painted by "offline" or a model's name.

    `strength` is the share of the look that is laid on, and `note` says why something else painted than was planned.
    """

    index: NonNegativeInt
    attempt: NonNegativeInt
    file: Inside
    by: str
    strength: Unit = 1.0
    adjustment: ColourAdjustment = ColourAdjustment()
    note: str = ""


class Fault(Frozen):
    """One thing that speaks against a keyframe, in a sentence that a styler can act on.

    `adjustment` says the same to a styler that paints by measures; None where only words say it.
    """

    kind: Literal["contours", "colours", "too_faint", "palette", "model", "person"]
    text: str
    adjustment: ColourAdjustment | None = None


class Verdict(Frozen):
    """What the judge reads in an attempt at a keyframe, which passed where nothing speaks against it.

    Attributes:
        structure: likeness of contours to the source, in [-1, 1].
        disagreement: how far its colours lie from the other keyframes' for the same source colours, in Lab units.
        change: mean colour change from the source, in Lab units.
        style_distance: palette distance to the reference picture, in Lab units; None without one.
        by: "offline", or the model that also looked at it.
    """

    structure: float
    disagreement: Annotated[float, Field(ge=0)]
    change: Annotated[float, Field(ge=0)]
    style_distance: float | None = None
    faults: tuple[Fault, ...] = ()
    by: str = OFFLINE


class Row(Styled):
    """A keyframe that is handed on, in its latent slot, with the picture of its source frame."""

    source: Inside
    slot: int
    verdict: Verdict


class Manifest(Frozen):
    """What `keyframes.json` holds, which an edit starts from: the window, the words, the style and the keyframes.

    `identity` tells the file that was styled, None for frames in memory.
    """

    format: Literal[1]
    video: str
    identity: str | None
    fps: PositiveFloat
    start: NonNegativeInt
    every: PositiveInt
    num_frames: PositiveInt
    seed: NonNegativeInt
    prompt: str
    negative_prompt: str
    style: StyleCard
    keyframes: Annotated[tuple[Row, ...], Field(min_length=1)]


class Decision(Frozen):
    """A person's answer: take the keyframes, unless some are to be redone, for reasons by index, and shown again."""

    approve: bool = True
    redo: dict[int, str] = Field(default_factory=dict)

    @field_validator("redo")
    @classmethod
    def _with_reasons(cls, redo: dict[int, str]) -> dict[int, str]:
        for index, reason in redo.items():
            if not reason.strip():
                raise AgentError(
                    f"Keyframe {index} is to be redone for the reason {reason!r}; say in a few words what is wrong."
                )
        return {index: reason.strip() for index, reason in redo.items()}


class ApprovalRequest(Frozen):
    """What a person is shown before the keyframes are handed on: pictures, source frames and verdicts by index."""

    files: dict[int, str]
    sources: dict[int, str]
    verdicts: dict[int, Verdict]

    def check(self, decision: Decision) -> None:
        """Refuse an answer about a frame that is no keyframe of the run."""
        if unknown := [index for index in decision.redo if index not in self.files]:
            known = ", ".join(map(str, self.files))
            raise AgentError(f"Frame {unknown[0]} is no keyframe of this run; redo one of {known}.")


class AgentState(TypedDict):
    """Everything the graph knows, each entry once the node that writes it has run."""

    cuts: tuple[int, ...]
    indices: tuple[int, ...]
    sources: dict[int, str]
    card: StyleCard
    plan: Plan
    styled: Annotated[dict[int, Styled], or_]
    verdicts: dict[int, Verdict]
    decision: Decision
    exported: bool


class Task(TypedDict):
    """What one `style_keyframe` node is sent."""

    index: int
    attempt: int
    card: StyleCard
    plan: Plan
    faults: tuple[Fault, ...]
    strength: float
    adjustment: ColourAdjustment
