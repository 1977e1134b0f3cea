"""A look painted over keyframes, offline: which look the settings mean, its card for the clip, and the painting."""

from collections.abc import Sequence

import numpy as np

from flowedit.agent.card import StyleCard, measure
from flowedit.agent.colour import Picture
from flowedit.agent.settings import KEY_VARIABLE, StyleSettings
from flowedit.agent.stylers import LOOKS, Look, find_look, look_named
from flowedit.agent.stylers.transfer import recolour
from flowedit.errors import AgentError, SettingError
from flowedit.media.images import read_image, resize_image

_LONGEST_SIDE, _SHORTEST_SIDE = 1024, 8
MOST_LINES = 1080
"""Pixels of the shorter side that a look is painted at; larger frames are painted so and enlarged. Marks grow with the
frame, so the same strokes come out; at 2160 lines, in a fifth of the time and a third of the memory."""


def read_style_image(settings: StyleSettings) -> Picture | None:
    """The style image, in a size that is enough to read a style from; one that cannot be used is refused."""
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

    An `AgentError` says that the words mean none, which a model may yet read; any other refusal is a `SettingError`.
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
            f"or let Gemini read the words with a key in {KEY_VARIABLE}."
        )
    if look.name == "transfer" and settings.style_image is None:
        raise SettingError('The look "transfer" takes its colours from a picture; give a style image.')
    return look


def analyse(keyframes: Sequence[Picture], look: Look, reference: Picture | None) -> StyleCard:
    """The style card from measures alone: one for all source keyframes of a clip, so that they are painted alike.

    `reference` is the style image.
    """
    master, measured, recoloured = measure(keyframes), None, None
    if reference is not None:
        measured = measure([reference])
        if look.name != "transfer":
            recoloured = measure([recolour(image, master, measured) for image in keyframes])
    measures = {"master": master, "reference": measured, "recoloured": recoloured}
    return StyleCard(look=look.name, title=look.title, medium=look.medium, words=look.words[:4], **measures)


def paint(image: Picture, card: StyleCard, seed: int, strength: float) -> Picture:
    """Paint one source frame offline, at no more than `MOST_LINES` and enlarged from there.

    `seed` is that of the textures, `strength` the share of the look that is laid over the source, in [0, 1].
    """
    canvas, on, look = image, card, LOOKS[card.look]
    if card.reference is not None and card.recoloured is not None:
        canvas = recolour(image, card.master, card.reference)
        on = card.model_copy(update={"master": card.recoloured})
    painted = resize_image(look.paint(resize_image(canvas, _painted_size(canvas, look)), on, seed), image.shape[:2])
    if strength >= 1:
        return painted
    blend = painted.astype(np.float32) * strength + image.astype(np.float32) * (1 - strength)
    return np.rint(blend).astype(np.uint8)


def enlarging(keyframe: Picture, look: Look) -> list[str]:
    """What is to be said of a frame that is too large to be painted at its own size."""
    size, own = _painted_size(keyframe, look), keyframe.shape[:2]
    if size == own:
        return []
    return [f"The keyframes are painted at {size[1]}x{size[0]} and enlarged to the video's {own[1]}x{own[0]}."]


def _painted_size(image: Picture, look: Look) -> tuple[int, int]:
    """(height, width) that a look paints a frame at."""
    height, width = image.shape[:2]
    factor = 1.0 if look.pixelwise else min(1.0, MOST_LINES / min(height, width))
    return round(height * factor), round(width * factor)
