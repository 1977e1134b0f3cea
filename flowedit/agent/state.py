"""What travels through the graph. Pictures stay on disk; the state holds their file names, so checkpoints are small."""

from operator import or_
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, field_validator

from flowedit.agent.adjustment import ColourAdjustment
from flowedit.agent.card import StyleCard
from flowedit.agent.colour import Unit
from flowedit.errors import AgentError


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Plan(_Record):
    """What to do with each keyframe, and what the editor is told about the whole clip.

    Attributes:
        prompts: one per keyframe index, for a model that draws from words.
        video_prompt: for the editor.
        negative_prompt: what the editor should avoid.
        reference: file of the one picture that all keyframes are styled after, inside the run's folder.
    """

    prompts: dict[int, str]
    video_prompt: str
    negative_prompt: str = ""
    reference: str | None = None


class Styled(_Record):
    """One attempt at a keyframe.

    Attributes:
        index: clip frame.
        attempt: from 0.
        file: the picture, inside the run's folder.
        by: what painted it, "offline" or a model's name.
        strength: share of the look that is laid on, 1 for all of it.
        adjustment: what was changed after the look was painted.
        note: why something else painted it than was planned; empty where nothing did.
    """

    index: int
    attempt: int
    file: str
    by: str
    strength: Unit = 1.0
    adjustment: ColourAdjustment = ColourAdjustment()
    note: str = ""


class Fault(_Record):
    """One thing that speaks against a keyframe.

    Attributes:
        kind: what is wrong: contours lost, colours unlike the other keyframes', style not laid on, palette away from
            the reference, or what a model or a person said.
        text: a sentence that a styler can act on.
        adjustment: the same for a styler that paints by measures; None where only words say it.
    """

    kind: Literal["contours", "colours", "too_faint", "palette", "model", "person"]
    text: str
    adjustment: ColourAdjustment | None = None


class Verdict(_Record):
    """The judge's reading of one keyframe.

    Attributes:
        index: clip frame.
        attempt: the attempt that was read.
        structure: likeness of contours to the source, in [-1, 1].
        disagreement: how far its colours lie from the other keyframes' for the same source colours, in Lab units.
        change: mean colour change from the source, in Lab units.
        style_distance: palette distance to the reference picture, in Lab units; None without one.
        faults: why it is rejected; none where it passed.
        by: "offline", or the model that also looked at it.
    """

    index: int
    attempt: int
    structure: float
    disagreement: Annotated[float, Field(ge=0)]
    change: Annotated[float, Field(ge=0)]
    style_distance: float | None = None
    faults: tuple[Fault, ...] = ()
    by: str = "offline"

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.faults


class Decision(_Record):
    """A person's answer to the keyframes shown.

    Attributes:
        approve: take them as they are (where nothing is to be redone).
        redo: reasons by keyframe index, none of them empty; these are styled again and shown again.

    Raises:
        AgentError: a reason is empty.
    """

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


class ApprovalRequest(_Record):
    """What a person is shown before the keyframes are handed on.

    Attributes:
        files: picture of each keyframe, inside the run's folder.
        sources: the source frame of each.
        verdicts: the judge's reading of each.
        escalated: keyframes that the judge still rejects after the last redo.
    """

    files: dict[int, str]
    sources: dict[int, str]
    verdicts: dict[int, Verdict]
    escalated: tuple[int, ...] = ()

    def check(self, decision: Decision) -> None:
        """Refuse an answer to something that was not asked.

        Raises:
            AgentError: a frame is to be redone that is no keyframe.
        """
        for index in decision.redo:
            if index not in self.files:
                known = ", ".join(map(str, self.files))
                raise AgentError(f"Frame {index} is no keyframe of this run; redo one of {known}.")


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
