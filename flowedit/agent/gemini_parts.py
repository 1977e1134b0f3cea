"""Gemini's parts of the graph: each falls back to the offline part, and says so, when a call gives nothing usable."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field

from flowedit.agent.adjustment import heard
from flowedit.agent.card import OFFLINE, StyleCard
from flowedit.agent.colour import Picture
from flowedit.agent.events import Event
from flowedit.agent.gemini import Gemini, GeminiError
from flowedit.agent.painting import analyse, chosen_look, paint
from flowedit.agent.parts import Attempts, OfflineParts
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import Fault, Task, Verdict
from flowedit.agent.stylers import LOOKS, look_named
from flowedit.errors import AgentError
from flowedit.media.images import resize_image

_MOST_STRETCH = 0.12


class StyleReading(BaseModel):
    """What the model reads in a style.

    Attributes:
        title: what a person would call the style.
        medium: what it is made with.
        words: what characterises line, colour, light and texture.
        closest_look: the offline look that comes nearest.
    """

    title: str = Field(min_length=1, max_length=80)
    medium: str = Field(min_length=1, max_length=160)
    words: list[str] = Field(min_length=1, max_length=12)
    closest_look: Literal["anime", "comic", "neon", "oil", "pencil", "vintage", "watercolour", "none"]


class Opinion(BaseModel):
    """What the model thinks of one styled keyframe.

    Attributes:
        same_scene: shapes, faces and framing are those of the source frame.
        same_style: it looks like the reference picture and the other keyframes.
        problem: what is wrong, in one sentence; empty where nothing is.
    """

    same_scene: bool
    same_style: bool
    problem: str = Field(max_length=300)


class Opinions(BaseModel):
    """One opinion per keyframe, in the order shown."""

    keyframes: list[Opinion]


class GeminiParts(OfflineParts):
    """Parts that ask Gemini."""

    def __init__(self, settings: StyleSettings, reference: Picture | None, gemini: Gemini) -> None:
        """Work for a style, with a client; see `OfflineParts`."""
        super().__init__(settings, reference)
        self._gemini = gemini

    def read_style(self, keyframes: Sequence[Picture], event: Event) -> StyleCard:
        """The measured card, in the model's words."""
        shown = [*keyframes[:1], *([] if self.reference is None else [self.reference])]
        try:
            reading = self._gemini.read(self._style_question(), shown, StyleReading, event)
        except GeminiError as error:
            try:
                card = analyse(keyframes, chosen_look(self.settings), self.reference)
            except AgentError as none:
                raise AgentError(f"{error} {none}") from None
            event.notes.append(_instead(error, "The style was read offline."))
            return card
        try:
            look = chosen_look(self.settings)
        except AgentError:
            look = LOOKS["oil" if reading.closest_look == "none" else reading.closest_look]
        event.values["by"] = model = self.settings.gemini.text_model
        words = {"title": reading.title, "medium": reading.medium, "words": tuple(reading.words)}
        return analyse(keyframes, look, self.reference).model_copy(update=words | {"analysed_by": model})

    def master(self, keyframe: Picture, card: StyleCard) -> Picture | None:
        """The style image, or else one painted keyframe."""
        return self.reference if self.reference is not None else paint(keyframe, card, self.settings.seed, 1.0)

    def style(self, image: Picture, master: Picture | None, task: Task, event: Event) -> Picture:
        """A drawing after the source frame and the master."""
        prompt = task["plan"].prompt
        if task["faults"]:
            prompt += f" An earlier attempt was rejected: {' '.join(fault.text for fault in task['faults'])}"
        try:
            shown = [image] if master is None else [image, master]
            picture = _fitted(self._gemini.draw(prompt, shown, event, attempt=task["attempt"]), image)
        except GeminiError as error:
            event.notes.append(_instead(error, "The keyframe was painted offline."))
            return super().style(image, master, task, event)
        event.values["by"] = self.settings.gemini.image_model
        return picture

    def judge(
        self, sources: Mapping[int, Picture], styled: Attempts, card: StyleCard, event: Event
    ) -> dict[int, Verdict]:
        """The measures, and the model's opinion where it drew."""
        measured = super().judge(sources, styled, card, event)
        if all(attempt.by == OFFLINE for attempt, _ in styled.values()):
            return measured
        indices, model = sorted(styled), self.settings.gemini.text_model
        prompt = (
            f"Here are {len(indices)} pairs of pictures: each time a frame of one video, then the same frame restyled. "
            "For every pair: is the restyled one the same scene, and does its style match the other restyled ones? "
            f"Answer with {len(indices)} entries in the order shown."
        )
        pictures = [picture for index in indices for picture in (sources[index], styled[index][1])]
        try:
            opinions = self._gemini.read(prompt, pictures, Opinions, event).keyframes
            if len(opinions) != len(indices):
                raise GeminiError(f"{model} judged {len(opinions)} of {len(indices)} keyframes.")
        except GeminiError as error:
            event.notes.append(_instead(error, "The keyframes were judged by measures alone."))
            return measured
        event.values["by"] = model
        return {i: _joined(measured[i], opinion, model) for i, opinion in zip(indices, opinions, strict=True)}

    def _style_question(self) -> str:
        wanted = []
        if self.settings.style is not None:
            look = look_named(self.settings.style)
            wanted.append(f"the look {look.title} ({look.prompt})")
        if self.settings.describe:
            wanted.append(f'the description "{self.settings.describe.strip()}"')
        if self.reference is not None:
            wanted.append("the last picture")
        return (
            "The first picture is a frame of a video that will be restyled. Describe the target style given by "
            f"{' and '.join(wanted)}: title, medium, and words for its line, colour, light and texture. "
            "Describe the style only, never the content of the pictures."
        )


def _instead(error: GeminiError, what: str) -> str:
    """What is noted of a fault: the same sentence in every node for a lasting one, so that a run says it once."""
    if error.lasting:
        return f"{str(error).removesuffix('.')}; the rest of the run is done offline."
    return f"{error} {what}"


def _fitted(picture: Picture, source: Picture) -> Picture:
    """The picture at the source's size; image models answer in a few fixed sizes of nearly the same aspect."""
    height, width = source.shape[:2]
    stretch = picture.shape[1] * height / (picture.shape[0] * width)
    if abs(np.log(stretch)) > _MOST_STRETCH:
        raise GeminiError(
            f"The picture came as {picture.shape[1]}x{picture.shape[0]}, which does not fit a {width}x{height} frame."
        )
    return resize_image(picture, (height, width))


def _joined(verdict: Verdict, opinion: Opinion, model: str) -> Verdict:
    faults, said = verdict.faults, opinion.problem.strip()
    if not (opinion.same_scene and opinion.same_style):
        text = said or "It does not match the other keyframes."
        faults = *faults, Fault(kind="model", text=text, adjustment=heard(said))
    return verdict.model_copy(update={"faults": faults, "by": model})
