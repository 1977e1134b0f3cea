"""The working parts of the graph, offline: each is one port, and Gemini's parts answer to the same ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from flowedit.agent.card import Measures, StyleCard, measure
from flowedit.agent.events import OFFLINE, Usage
from flowedit.agent.judge import Thresholds, judge_keyframes
from flowedit.agent.keys import VARIABLE
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import Plan, Styled, Task, Verdict
from flowedit.agent.stylers import LOOKS, find_look, look_named
from flowedit.agent.stylers.look import Look
from flowedit.agent.stylers.transfer import recolour
from flowedit.errors import AgentError, SettingError
from flowedit.media.images import read_image, resize_image

Picture = UInt8[np.ndarray, "_H _W 3"]

_LONGEST_SIDE = 1024
_SHORTEST_SIDE = 8
MOST_LINES = 1080
"""Pixels of the shorter side that a look is painted at; larger frames are painted so and enlarged. Marks grow with the
frame, so the same strokes come out; at 2160 lines, in a fifth of the time and a third of the memory."""
_NEGATIVE = "flicker, ghosting, blurred, distorted shapes, changing colours, text, watermark"


@dataclass
class Report:
    """What a part has to say beside its result.

    Attributes:
        prompt: what a model was told.
        usage: what the calls took.
        notes: what did not go as planned.
        by: who did it.
    """

    prompt: str = ""
    usage: Usage = field(default_factory=Usage)
    notes: list[str] = field(default_factory=list)
    by: str = "offline"


Analyst = Callable[[Sequence[Picture], Report], StyleCard]
"""(source keyframes, report) to the style card."""
Planner = Callable[[StyleCard, Sequence[int], str | None], Plan]
"""(card, keyframe indices, file of the master picture) to the prompts for the keyframes and for the editor."""
Master = Callable[[Picture, StyleCard], Picture | None]
"""(a source keyframe, the card) to the one picture that all keyframes are styled after, if there is one."""
Styler = Callable[[Picture, Picture | None, Task, Report], Picture]
"""(source frame, master picture, task, report) to the styled picture, of the same size."""
Judge = Callable[[Mapping[int, Picture], Mapping[int, tuple[Styled, Picture]], StyleCard, Report], dict[int, Verdict]]
"""(source frames, attempts with their pictures, card, report) to a verdict for each keyframe."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What `build_graph` is given: the same graph runs offline or with Gemini, by other parts.

    Attributes:
        analyst: reads the style.
        planner: writes the prompts.
        master: gives the one picture that all keyframes are styled after.
        styler: paints.
        judge: compares.
    """

    analyst: Analyst
    planner: Planner
    master: Master
    styler: Styler
    judge: Judge


def offline_parts(settings: StyleSettings, reference: Picture | None) -> Parts:
    """Parts that need neither network nor key.

    Args:
        settings: the wanted style and seed.
        reference: the style image, read and shrunk.
    """

    def analyst(keyframes: Sequence[Picture], report: Report) -> StyleCard:
        look = chosen_look(settings)
        report.notes += _enlarging(keyframes[0], look)
        return analyse(keyframes, look, reference)

    def styler(image: Picture, master: Picture | None, task: Task, report: Report) -> Picture:
        del master
        report.notes += _unmet(task)
        return task["nudge"].apply(paint(image, task["card"], settings.seed, task["strength"]))

    def as_painted(image: Picture, card: StyleCard, done: Styled) -> Picture:
        return done.nudge.apply(paint(image, card, settings.seed, done.strength))

    def judge(
        sources: Mapping[int, Picture],
        styled: Mapping[int, tuple[Styled, Picture]],
        card: StyleCard,
        report: Report,
    ) -> dict[int, Verdict]:
        del report
        verdicts = judge_keyframes(sources, styled, card, Thresholds())
        for index, verdict in verdicts.items():
            if any(fault.nudge for fault in verdict.faults):
                done, picture = styled[index]
                own = done.by == OFFLINE and np.array_equal(picture, as_painted(sources[index], card, done))
                verdicts[index] = verdict if own else _without_nudges(verdict)
        return verdicts

    return Parts(
        analyst=analyst,
        planner=plan_prompts,
        master=lambda keyframe, card: reference,
        styler=styler,
        judge=judge,
    )


def read_style_image(settings: StyleSettings) -> Picture | None:
    """The style image in a size that is enough to read a style from; None where none is given.

    Raises:
        VideoFileError: it is missing or not a picture.
        SettingError: it is too small to hold a style.
    """
    if settings.style_image is None:
        return None
    image = read_image(settings.style_image, longest=_LONGEST_SIDE)
    height, width = image.shape[:2]
    if min(height, width) < _SHORTEST_SIDE:
        raise SettingError(
            f"{settings.style_image} comes to {width}x{height} pixels; "
            f"a style image needs {_SHORTEST_SIDE} on each side."
        )
    return image


def chosen_look(settings: StyleSettings) -> Look:
    """The look that the settings mean: by name, by the words of the description, or colour transfer for an image.

    Raises:
        SettingError: no look has that name, or "transfer" has no picture to take colours from.
        AgentError: the words mean no look.
    """
    if settings.style is not None:
        look = look_named(settings.style)
    elif (found := find_look(settings.describe or "")) is not None:
        look = found
    elif settings.style_image is not None:
        look = LOOKS["transfer"]
    else:
        raise AgentError(
            f'Offline, no look matches "{settings.describe}"; name one of {", ".join(LOOKS)}, give a style image, '
            f"or let Gemini read the words with a key in {VARIABLE}."
        )
    if look.name == "transfer" and settings.style_image is None:
        raise SettingError('The look "transfer" takes its colours from a picture; give a style image.')
    return look


def analyse(keyframes: Sequence[Picture], look: Look, reference: Picture | None) -> StyleCard:
    """The style card from measures alone: one for the whole clip, so that all keyframes are painted alike.

    Args:
        keyframes: the source keyframes.
        look: what paints.
        reference: the style image.
    """
    master = measure(keyframes)
    measured = None if reference is None else measure([reference])
    return StyleCard(
        look=look.name,
        title=look.title,
        medium=look.medium,
        words=look.words[:4],
        master=master,
        reference=measured,
        recoloured=_recoloured(keyframes, master, measured, look),
    )


def paint(image: Picture, card: StyleCard, seed: int, strength: float) -> Picture:
    """Paint one keyframe offline, at no more than `MOST_LINES` and enlarged from there.

    Args:
        image: the source frame.
        card: the style.
        seed: of the textures.
        strength: share of the look that is laid over the source, in [0, 1].
    """
    canvas, on = image, card
    if card.reference is not None and card.recoloured is not None:
        canvas = recolour(image, card.master, card.reference)
        on = card.model_copy(update={"master": card.recoloured})
    look = LOOKS[card.look]
    small = canvas if look.pixelwise else resize_image(canvas, _painted_size(canvas))
    painted = resize_image(look.paint(small, on, seed), image.shape[:2])
    if strength >= 1:
        return painted
    blend = painted.astype(np.float32) * strength + image.astype(np.float32) * (1 - strength)
    return np.rint(blend).astype(np.uint8)


def _painted_size(image: Picture) -> tuple[int, int]:
    """(height, width) that a look paints a frame at."""
    height, width = image.shape[:2]
    factor = min(1.0, MOST_LINES / min(height, width))
    return round(height * factor), round(width * factor)


def _enlarging(keyframe: Picture, look: Look) -> list[str]:
    """What is to be said of a frame that is too large to be painted at its own size."""
    size, own = _painted_size(keyframe), keyframe.shape[:2]
    if size == own or look.pixelwise:
        return []
    return [f"The keyframes are painted at {size[1]}x{size[0]} and enlarged to the video's {own[1]}x{own[0]}."]


def _without_nudges(verdict: Verdict) -> Verdict:
    """A verdict on a picture that a look did not paint: how far it is off says nothing of what the look will paint."""
    return verdict.model_copy(
        update={"faults": tuple(fault.model_copy(update={"nudge": None}) for fault in verdict.faults)}
    )


def _unmet(task: Task) -> list[str]:
    """What was asked for in words and cannot be painted by measures."""
    notes = []
    for fault in task["faults"]:
        if fault.kind in ("person", "model") and fault.nudge is None:
            notes.append(
                f'"{fault.text}" says nothing of light, colour or strength, which is all that a look can change; '
                f"keyframe {task['index']} was painted at a strength of {task['strength']:.2f}."
            )
        elif fault.nudge is not None and fault.nudge.share > 1 and task["strength"] == 1:
            notes.append(f"The look lies on keyframe {task['index']} fully; it cannot be laid on more strongly.")
    return notes


def plan_prompts(card: StyleCard, indices: Sequence[int], reference: str | None) -> Plan:
    """One prompt for all keyframes, so that they agree, and the editor's prompt from the same words.

    Args:
        card: the style.
        indices: clip frames of the keyframes.
        reference: file of the picture that all are styled after.
    """
    words = ", ".join(dict.fromkeys((card.title, card.medium, *card.words)))
    prompt = (
        f"Repaint the first picture in this style: {words}. The second picture is the style reference: take its "
        "palette, light, line and texture. Keep every shape, face, pose and the framing exactly where it is. "
        "No text, no border, same aspect ratio."
    )
    style = LOOKS[card.look].prompt if card.analysed_by == "offline" else words
    return Plan(
        prompts=dict.fromkeys(indices, prompt),
        video_prompt=f"{style}, consistent style, smooth motion",
        negative_prompt=_NEGATIVE,
        reference=reference,
    )


def _recoloured(
    keyframes: Sequence[Picture], master: Measures, reference: Measures | None, look: Look
) -> Measures | None:
    if reference is None or look.name == "transfer":
        return None
    return measure([recolour(image, master, reference) for image in keyframes])
