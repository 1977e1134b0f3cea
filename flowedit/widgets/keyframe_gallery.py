"""Source and styled keyframes in pairs, with approve and redo, for a person who answers a styling run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from flowedit.errors import WidgetError
from flowedit.frames import slot_of
from flowedit.show.display import picture_tag, table_tag
from flowedit.widgets._base import plain
from flowedit.widgets._jobs import JobWidget
from flowedit.widgets._sprites import contact_sheet, encode_images, room_beside
from flowedit.widgets.export import script, style

MAX_PAIRS = 24
_PICTURE_SIDE = 320
_REASONS = "reasons"

Pair = tuple[np.ndarray, np.ndarray, int, Mapping[str, Any]]
"""`(source, styled, index, scores)`: images uint8 (H, W, 3), the pixel frame, and numbers or words to show. A list of
sentences under "reasons" is shown as what speaks against it."""


class KeyframeGallery(JobWidget):
    """Keyframes to look at and to answer for.

    Args:
        pairs: `(source, styled, index, scores)` each.
        resume: called in a thread with the answer, `{"approve": True, "redo": {index: reason}}` (nothing to redo
            means that all are approved); may return new pairs to show, or None when the run is over. A generator
            that yields progress lines and returns the pairs works too.

    Attributes:
        pairs: what is shown, as encoded for the page; `update` replaces it.
        decisions: by index, `{"action": "approve", "redo" or "", "reason": ...}`, as the reader gives them.

    Raises:
        WidgetError: too many pairs, two at one index, or images that cannot be shown.
    """

    _esm = script("job", "keyframe_gallery")
    _css = style("keyframe_gallery")

    pairs = traitlets.List().tag(sync=True)
    decisions = traitlets.Dict().tag(sync=True)
    can_resume = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        resume: Callable[[dict], object] | None = None,
        **traits: object,
    ) -> None:
        self._resume = resume
        self._pairs: list[Pair] = []
        super().__init__(can_resume=resume is not None, **{"heading": "Styled keyframes", **traits})
        self.update(pairs)

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

    def _asked(self, content: dict) -> None:
        resume = self._resume
        if content.get("type") == "resume" and resume is not None:
            decisions, indices = content.get("decisions", {}), [pair["index"] for pair in self.pairs]
            self.worker.start(lambda: resume(_answer_of(decisions, indices)), self._resumed)

    def _resumed(self, result: object) -> None:
        if isinstance(result, Sequence):
            self.decisions = {}
            self.update(result)

    def _still(self) -> str:
        if not self._pairs:
            return "<p>There are no keyframes to look at.</p>"
        sources, styled, indices, scores = zip(*self._pairs, strict=True)
        rows = np.concatenate([contact_sheet(np.stack(side)) for side in (sources, styled)])
        words = f"Keyframes {', '.join(map(str, indices))}; source above, styled below."
        names = list(dict.fromkeys(name for one in scores for name in one if name != _REASONS))
        said = [self.decisions.get(str(i), {"action": "undecided"}) for i in indices]
        values = [
            (i, slot_of(i), *(one.get(name) for name in names), " ".join(decision.values()))
            for i, one, decision in zip(indices, scores, said, strict=True)
        ]
        columns = ("frame", "latent slot", *names, "decision")
        return picture_tag(rows, words, max_side=900) + table_tag("Scores and decisions", columns, values)


def _words(pair: Pair) -> dict:
    """All of a pair but its pictures, as JSON values."""
    scores = plain(dict(pair[3]))
    return {"index": int(pair[2]), "reasons": scores.pop(_REASONS, []), "scores": scores}


def _answer_of(decisions: Mapping[str, Mapping], indices: Sequence[int]) -> dict:
    said = {i: decisions.get(str(i), {}) for i in indices}
    redo = {i: one.get("reason", "").strip() for i, one in said.items() if one.get("action") == "redo"}
    missing = [i for i, one in said.items() if not redo.get(i, one.get("action") == "approve")]
    if missing:
        raise WidgetError(f"Keyframes {missing} are open: approve each, or send it back with what should change.")
    return {"approve": True, "redo": redo}
