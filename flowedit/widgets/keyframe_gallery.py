"""Source and styled keyframes in pairs, with approve and redo, for a person who answers a styling run."""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from flowedit.errors import WidgetError
from flowedit.frames import slot_of
from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget, Table, plain
from flowedit.widgets._jobs import IDLE, Job
from flowedit.widgets._sprites import contact_sheet, encode_image, encode_images, room_beside

MAX_PAIRS = 24
_PICTURE_SIDE = 320
_REASONS = "reasons"

Pair = tuple[np.ndarray, np.ndarray, int, Mapping[str, Any]]
"""`(source, styled, index, scores)`: images uint8 (H, W, 3), the pixel frame, and numbers or words to show. A list of
sentences under "reasons" is shown as what speaks against it."""


class KeyframeGallery(FlowWidget):
    """Keyframes to look at and to answer for.

    Attributes:
        pairs: what is shown, as encoded for the page; `update` replaces it.
        decisions: by index, `{"action": "approve", "redo" or "", "reason": ...}`, as the reader gives them.
        index: pixel frame of the keyframe in focus.
        job: state of the run that was resumed.
    """

    _esm = script("job", "keyframe_gallery")
    _css = style("job", "frame_scrubber", "keyframe_gallery")

    pairs = traitlets.List().tag(sync=True)
    decisions = traitlets.Dict().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    job = traitlets.Dict(IDLE).tag(sync=True)
    can_resume = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        resume: Callable[[dict], object] | None = None,
        **traits: object,
    ) -> None:
        """Show `pairs`.

        Args:
            pairs: `(source, styled, index, scores)` each.
            resume: called in a thread with the answer, `{"approve": True, "redo": {index: reason}}` (nothing to redo
                means that all are approved); may return new pairs to show, or None when the run is over. A generator
                that yields progress lines and returns the pairs works too.
            **traits: any attribute above, and `heading` and `note`.

        Raises:
            WidgetError: too many pairs, two at one index, or images that cannot be shown.
        """
        self._resume = resume
        self._pairs: list[Pair] = []
        self.worker = Job(self._set_job)
        super().__init__(can_resume=resume is not None, **{"heading": "Styled keyframes", **traits})
        self.update(pairs)
        self.on_msg(self._answer)

    @classmethod
    def example(cls) -> "KeyframeGallery":
        """Three keyframes of a computed scene; the last one's colours were weakened, and its score says so."""
        from flowedit.widgets.demo import gallery_pairs

        return cls(
            gallery_pairs(),
            decisions={
                "0": {"action": "approve", "reason": ""},
                "32": {"action": "redo", "reason": "stronger colours"},
            },
            heading="Styled keyframes",
            note="computed scene",
        )

    def update(self, pairs: Sequence[Pair]) -> None:
        """Show other pairs; decisions on indices that are gone are dropped."""
        indices = [int(pair[2]) for pair in pairs]
        if len(pairs) > MAX_PAIRS or len(set(indices)) != len(indices):
            raise WidgetError(f"Got keyframes {indices}; this widget shows up to {MAX_PAIRS}, each index once.")
        self._pairs = list(pairs)
        words = [_words(pair) for pair in pairs]
        urls = encode_images(
            [side for pair in pairs for side in pair[:2]], max_side=_PICTURE_SIDE, budget=room_beside(words)
        )
        shown = zip(words, urls[::2], urls[1::2], strict=True)
        self.pairs = [{**said, "source": source, "styled": styled} for said, source, styled in shown]
        self.decisions = {key: value for key, value in self.decisions.items() if key in map(str, indices)}

    def answer(self) -> dict:
        """What the reader decided, as `resume` receives it.

        Raises:
            WidgetError: a keyframe has no decision yet, or is sent back without a reason.
        """
        return _answer_of(self.decisions, [pair["index"] for pair in self.pairs])

    def _answer(self, _widget: object, content: dict, _buffers: object) -> None:
        if content.get("type") == "cancel":
            self.worker.cancel()
        elif content.get("type") == "resume" and self._resume is not None:
            resume, decisions = self._resume, content.get("decisions", {})
            indices = [pair["index"] for pair in self.pairs]
            self.worker.start(lambda: resume(_answer_of(decisions, indices)), self._resumed)

    def _resumed(self, result: object) -> None:
        if isinstance(result, Sequence):
            self.decisions = {}
            self.update(result)

    def _set_job(self, status: dict) -> None:
        self.job = status

    def _picture(self) -> str:
        if not self._pairs:
            return "<p>There are no keyframes to look at.</p>"
        words = f"Keyframes {', '.join(str(pair[2]) for pair in self._pairs)}; source above, styled below."
        rows = [contact_sheet(np.stack(side)) for side in ([p[0] for p in self._pairs], [p[1] for p in self._pairs])]
        return f'<img alt="{html.escape(words)}" src="{encode_image(np.concatenate(rows), max_side=900)}">'

    def _table(self) -> Table:
        names = list(dict.fromkeys(name for pair in self._pairs for name in pair[3] if name != _REASONS))
        rows = [
            (pair[2], slot_of(pair[2]), *(pair[3].get(name) for name in names), self._said(pair[2]))
            for pair in self._pairs
        ]
        return Table("Scores and decisions", ("frame", "latent slot", *names, "decision"), rows)

    def _said(self, index: int) -> str:
        decision = self.decisions.get(str(index), {})
        return ": ".join(filter(None, (decision.get("action"), decision.get("reason")))) or "undecided"


def _words(pair: Pair) -> dict:
    """All of a pair but its pictures, as JSON values."""
    _, _, index, scores = pair
    return {
        "index": int(index),
        "scores": plain({name: value for name, value in scores.items() if name != _REASONS}),
        "reasons": list(scores.get(_REASONS, ())),
    }


def _answer_of(decisions: Mapping[str, Mapping], indices: Sequence[int]) -> dict:
    undecided = [i for i in indices if decisions.get(str(i), {}).get("action") not in ("approve", "redo")]
    if undecided:
        raise WidgetError(f"Keyframes {undecided} are undecided; approve each, or send it back with a reason.")
    redo = {i: decisions[str(i)].get("reason", "").strip() for i in indices if decisions[str(i)]["action"] == "redo"}
    mute = [i for i, reason in redo.items() if not reason]
    if mute:
        raise WidgetError(f"Keyframes {mute} are to be done again without a reason; say what should change at each.")
    return {"approve": True, "redo": redo}
