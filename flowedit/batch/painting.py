"""Keyframes of a batch that the agent paints, all its paid calls within one budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.batch.manifest import Entry
from flowedit.media.clip import probe
from flowedit.presets import model_defaults
from flowedit.run.inputs import choose_window
from flowedit.run.request import EditRequest, styled


@dataclass(frozen=True)
class Painter:
    """Paints keyframes; whichever worker asks a model, on whichever day, asks within one budget.

    Attributes:
        answers: folder of the answers and of the count of what was spent, shared by all clips.
        max_usd: of the whole batch.
        max_calls: likewise.
    """

    answers: Path
    max_usd: float
    max_calls: int

    @classmethod
    def of(cls, entries: Sequence[Entry], out: Path, max_usd: float) -> "Painter":
        """For a batch of these clips, with its answers in the batch's folder."""
        return cls(out.absolute() / "answers", max_usd, GeminiSettings.max_calls * sum(bool(e.style) for e in entries))

    def settings(self, style: Mapping[str, Any]) -> StyleSettings:
        """What one clip's keyframes are painted by."""
        gemini = GeminiSettings(max_usd=self.max_usd, max_calls=self.max_calls, answers=self.answers)
        return StyleSettings(**style, gemini=gemini)

    def check(self, style: Mapping[str, Any]) -> None:
        """Refuse a style that cannot be painted."""
        from flowedit.agent.painting import chosen_look, read_style_image

        read_style_image(self.settings(style))
        chosen_look(self.settings(style))

    def painted(self, entry: Entry) -> EditRequest:
        """The clip's request with keyframes, those painted before where they are of the same clip and style."""
        from flowedit.agent.run import style_or_reuse

        request, own = entry.request, entry.request.settings
        total, longest = probe(request.video).num_frames, model_defaults(request.model).window
        taken = choose_window(total, request.start, request.num_frames, longest, request.every)
        window = {"start": taken.start, "every": taken.step, "num_frames": len(taken)}
        settings = replace(self.settings(entry.style), **window)
        found = styled(style_or_reuse(request.video, settings, request.output / "style", replace=True))
        said = {name: getattr(own, name) or getattr(found["styling"], name) for name in ("prompt", "negative_prompt")}
        return replace(request, settings=own.with_(**said), **found)
