"""Gemini's parts of the graph: each falls back to the offline part, and says so, when a call gives nothing usable."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, Field

from flowedit.agent.card import StyleCard
from flowedit.agent.gemini import Gemini, GeminiError
from flowedit.agent.nudge import heard
from flowedit.agent.parts import Parts, Report, analyse, chosen_look, paint, plan_prompts
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import Fault, Styled, Task, Verdict
from flowedit.agent.stylers import LOOKS, look_named
from flowedit.agent.stylers.look import Look
from flowedit.errors import AgentError
from flowedit.media.images import resize_image

Picture = UInt8[np.ndarray, "_H _W 3"]

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


def gemini_parts(settings: StyleSettings, reference: Picture | None, gemini: Gemini, offline: Parts) -> Parts:
    """Parts that ask Gemini.

    Args:
        settings: the wanted style.
        reference: the style image, read and shrunk.
        gemini: the client.
        offline: what each part falls back to.
    """

    def analyst(keyframes: Sequence[Picture], report: Report) -> StyleCard:
        return _read_style(keyframes, report, (settings, reference, gemini))

    def master(keyframe: Picture, card: StyleCard) -> Picture | None:
        return reference if reference is not None else paint(keyframe, card, settings.seed, 1.0)

    def styler(image: Picture, master: Picture | None, task: Task, report: Report) -> Picture:
        shown = [image] if master is None else [image, master]
        report.prompt = _with_faults(task["plan"].prompts[task["index"]], task["faults"])
        try:
            reply = gemini.draw(report.prompt, shown, attempt=task["attempt"])
            report.usage += reply.usage
            picture = _fitted(reply.value, image)
        except GeminiError as error:
            report.usage += error.usage
            report.notes.append(_instead(error, "The keyframe was painted offline."))
            return offline.styler(image, master, task, report)
        report.by = reply.model
        return picture

    def judge(
        sources: Mapping[int, Picture],
        styled: Mapping[int, tuple[Styled, Picture]],
        card: StyleCard,
        report: Report,
    ) -> dict[int, Verdict]:
        measured = offline.judge(sources, styled, card, report)
        if all(attempt.by == "offline" for attempt, _ in styled.values()):
            return measured
        return _with_opinions(measured, sources, styled, report, gemini)

    return Parts(analyst=analyst, planner=plan_prompts, master=master, styler=styler, judge=judge)


def _read_style(
    keyframes: Sequence[Picture], report: Report, known: tuple[StyleSettings, Picture | None, Gemini]
) -> StyleCard:
    settings, reference, gemini = known
    report.prompt = _style_question(settings, reference)
    try:
        reply = gemini.read(report.prompt, [*keyframes[:1], *([] if reference is None else [reference])], StyleReading)
    except GeminiError as error:
        report.usage += error.usage
        card = analyse(keyframes, _look_without(error, settings), reference)
        report.notes.append(_instead(error, "The style was read offline."))
        return card
    report.usage += reply.usage
    report.by = reply.model
    reading = reply.value
    try:
        look = chosen_look(settings)
    except AgentError:
        fallback = "oil" if reading.closest_look == "none" else reading.closest_look
        look = LOOKS[fallback]
    card = analyse(keyframes, look, reference)
    words = {"title": reading.title, "medium": reading.medium, "words": tuple(reading.words)}
    return card.model_copy(update=words | {"analysed_by": reply.model})


def _look_without(error: GeminiError, settings: StyleSettings) -> Look:
    """The look that paints after a fault; where the words mean none, both reasons are said in one line."""
    try:
        return chosen_look(settings)
    except AgentError as none:
        raise AgentError(f"{error} {none}") from None


def _instead(error: GeminiError, what: str) -> str:
    """What is noted of a fault: the same sentence in every node for a lasting one, so that a run says it once."""
    if error.lasting:
        return f"{str(error).removesuffix('.')}; the rest of the run is done offline."
    return f"{error} {what}"


def _style_question(settings: StyleSettings, reference: Picture | None) -> str:
    wanted = []
    if settings.style is not None:
        look = look_named(settings.style)
        wanted.append(f"the look {look.title} ({look.prompt})")
    if settings.describe:
        wanted.append(f'the description "{settings.describe.strip()}"')
    if reference is not None:
        wanted.append("the last picture")
    return (
        "The first picture is a frame of a video that will be restyled. Describe the target style given by "
        f"{' and '.join(wanted)}: title, medium, and words for its line, colour, light and texture. "
        "Describe the style only, never the content of the pictures."
    )


def _with_faults(prompt: str, faults: Sequence[Fault]) -> str:
    if not faults:
        return prompt
    return f"{prompt} An earlier attempt was rejected: {' '.join(fault.text for fault in faults)}"


def _fitted(picture: Picture, source: Picture) -> Picture:
    """The picture at the source's size; image models answer in a few fixed sizes of nearly the same aspect."""
    height, width = source.shape[:2]
    stretch = picture.shape[1] * height / (picture.shape[0] * width)
    if abs(np.log(stretch)) > _MOST_STRETCH:
        raise GeminiError(
            f"The picture came as {picture.shape[1]}x{picture.shape[0]}, which does not fit a {width}x{height} frame."
        )
    return resize_image(picture, (height, width))


def _with_opinions(
    measured: dict[int, Verdict],
    sources: Mapping[int, Picture],
    styled: Mapping[int, tuple[Styled, Picture]],
    report: Report,
    gemini: Gemini,
) -> dict[int, Verdict]:
    indices = sorted(styled)
    report.prompt = (
        f"Here are {len(indices)} pairs of pictures: each time a frame of one video, then the same frame restyled. "
        "For every pair: is the restyled one the same scene, and does its style match the other restyled ones? "
        f"Answer with {len(indices)} entries in the order shown."
    )
    pictures = [picture for index in indices for picture in (sources[index], styled[index][1])]
    try:
        reply = gemini.read(report.prompt, pictures, Opinions)
        report.usage += reply.usage
        opinions = reply.value.keyframes
        if len(opinions) != len(indices):
            raise GeminiError(f"{reply.model} judged {len(opinions)} of {len(indices)} keyframes.")
    except GeminiError as error:
        report.usage += error.usage
        report.notes.append(_instead(error, "The keyframes were judged by measures alone."))
        return measured
    report.by = reply.model
    return {
        index: _joined(measured[index], opinion, reply.model) for index, opinion in zip(indices, opinions, strict=True)
    }


def _joined(verdict: Verdict, opinion: Opinion, model: str) -> Verdict:
    said = opinion.problem.strip()
    if opinion.same_scene and opinion.same_style:
        return verdict.model_copy(update={"by": model})
    fault = Fault(kind="model", text=said or "It does not match the other keyframes.", nudge=heard(said))
    return verdict.model_copy(update={"faults": (*verdict.faults, fault), "by": model})
