"""The work of the graph's nodes, offline: reading the style, planning, painting, judging."""

from collections.abc import Mapping, Sequence

import numpy as np

from flowedit.agent.card import OFFLINE, StyleCard
from flowedit.agent.colour import Picture
from flowedit.agent.events import Event
from flowedit.agent.judge import judge_keyframes
from flowedit.agent.painting import analyse, chosen_look, enlarging, paint
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import Plan, Styled, Task, Verdict
from flowedit.agent.stylers import LOOKS

Attempts = Mapping[int, tuple[Styled, Picture]]
"""Attempts and their pictures, by keyframe index."""


class OfflineParts:
    """What the nodes ask to do their work, here with neither network nor key; a subclass replaces a part.

    Each part that may fail or fall back is handed the node's event, and says in its notes what did not go as planned.
    """

    def __init__(self, settings: StyleSettings, reference: Picture | None = None) -> None:
        self.settings, self.reference = settings, reference

    def read_style(self, keyframes: Sequence[Picture], event: Event) -> StyleCard:
        """The one style card of all keyframes."""
        look = chosen_look(self.settings)
        event.notes += enlarging(keyframes[0], look)
        return analyse(keyframes, look, self.reference)

    def master(self, keyframe: Picture, card: StyleCard) -> Picture | None:
        """The one picture that all keyframes are styled after, if there is one."""
        del keyframe, card
        return self.reference

    def plan(self, card: StyleCard, reference: str | None) -> Plan:
        """One prompt for all keyframes, so that they agree, and the editor's from the same words.

        `reference` is the file of the picture that all are styled after.
        """
        words = ", ".join(dict.fromkeys((card.title, card.medium, *card.words)))
        prompt = (
            f"Repaint the first picture in this style: {words}. The second picture is the style reference: take its "
            "palette, light, line and texture. Keep every shape, face, pose and the framing exactly where it is. "
            "No text, no border, same aspect ratio."
        )
        style = LOOKS[card.look].prompt if card.analysed_by == OFFLINE else words
        avoid = "flicker, ghosting, blurred, distorted shapes, changing colours, text, watermark"
        video = f"{style}, consistent style, smooth motion"
        return Plan(prompt=prompt, video_prompt=video, negative_prompt=avoid, reference=reference)

    def style(self, image: Picture, master: Picture | None, task: Task, event: Event) -> Picture:
        """The source frame styled, at its own size."""
        del master
        event.notes += _unmet(task)
        return task["adjustment"].apply(paint(image, task["card"], self.settings.seed, task["strength"]))

    def judge(
        self, sources: Mapping[int, Picture], styled: Attempts, card: StyleCard, event: Event
    ) -> dict[int, Verdict]:
        """A verdict for each keyframe, by its source frame and the others."""
        del event
        verdicts = judge_keyframes(sources, styled, card)
        for index, verdict in verdicts.items():
            if any(fault.adjustment for fault in verdict.faults) and not self._own(sources[index], styled[index], card):
                # How far a picture that the look did not paint is off says nothing of what the look will paint.
                faults = tuple(fault.model_copy(update={"adjustment": None}) for fault in verdict.faults)
                verdicts[index] = verdict.model_copy(update={"faults": faults})
        return verdicts

    def _own(self, source: Picture, styled: tuple[Styled, Picture], card: StyleCard) -> bool:
        """Whether a picture is what the look paints of its source."""
        done, picture = styled
        if done.by != OFFLINE:
            return False
        return np.array_equal(picture, done.adjustment.apply(paint(source, card, self.settings.seed, done.strength)))


def _unmet(task: Task) -> list[str]:
    """What was asked for in words and cannot be painted by measures."""
    notes = []
    for fault in task["faults"]:
        if fault.kind in ("person", "model") and fault.adjustment is None:
            notes.append(
                f'"{fault.text}" says nothing of light, colour or strength, which is all that a look can change; '
                f"keyframe {task['index']} was painted at a strength of {task['strength']:.2f}."
            )
        elif fault.adjustment is not None and fault.adjustment.share > 1 and task["strength"] == 1:
            notes.append(f"The look lies on keyframe {task['index']} fully; it cannot be laid on more strongly.")
    return notes
