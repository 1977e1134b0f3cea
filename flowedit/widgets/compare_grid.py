"""Benchmark rows as clips that move in step, with their numbers, sortable by any of them."""

import html
from collections.abc import Mapping, Sequence

import numpy as np
import traitlets

from flowedit.display import spread
from flowedit.errors import WidgetError
from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget, Table, plain
from flowedit.widgets._sprites import check_same_shape, contact_sheet, encode_clips, encode_image

MAX_ROWS = 24

Row = tuple[str, np.ndarray, Mapping[str, float]]
"""`(name, frames, metrics)`, frames uint8 (F, H, W, 3)."""


class CompareGrid(FlowWidget):
    """One clip and its numbers per row.

    Attributes:
        sort: column and direction, such as `["PSNR", "down"]`; empty column for the given order.
        index: pixel frame shown.
        loop: first and last frame of the range that plays; empty for the whole clip.
        speed: playback speed.
    """

    _esm = script("player", "compare_grid")
    _css = style("player", "frame_scrubber", "compare_grid")

    rows = traitlets.List().tag(sync=True)
    metrics = traitlets.List(traitlets.Unicode()).tag(sync=True)
    better = traitlets.Dict().tag(sync=True)
    keyframes = traitlets.List(traitlets.Int()).tag(sync=True)
    fps = traitlets.Float(16.0).tag(sync=True)
    sort = traitlets.List(traitlets.Unicode(), ["", "down"]).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    loop = traitlets.List(traitlets.Int()).tag(sync=True)
    speed = traitlets.Float(1.0).tag(sync=True)

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        better: Mapping[str, str] | None = None,
        references: Sequence[str] = (),
        keyframes: Sequence[int] = (),
        **traits: object,
    ) -> None:
        """Show `rows`.

        Args:
            rows: `(name, frames, metrics)`; all clips have one shape, and names differ.
            better: metric to "high" or "low", for the metrics that have a better direction.
            references: names of rows that are no competitors (the source, the truth): in front, and never the best.
            keyframes: pixel indices marked on the track.
            **traits: any attribute above, and `fps`, `heading` and `note`.

        Raises:
            WidgetError: no row, too many, equal names, clips of different shapes, or an unknown direction.
        """
        names = [name for name, _, _ in rows]
        if not 1 <= len(rows) <= MAX_ROWS or len(set(names)) != len(names):
            raise WidgetError(f"Got rows {names}; this widget shows 1 to {MAX_ROWS} with different names.")
        wrong = {key: way for key, way in (better or {}).items() if way not in ("high", "low")}
        if wrong:
            raise WidgetError(f'better= says {wrong}; each metric is "high" or "low".')
        clips = {name: np.asarray(frames) for name, frames, _ in rows}
        check_same_shape(clips)
        self._clips, self._rows = clips, rows
        encoded = encode_clips(clips)
        super().__init__(
            rows=[
                {"name": name, "metrics": plain(dict(values)), "clip": clip, "reference": name in references}
                for (name, _, values), clip in zip(rows, encoded, strict=True)
            ],
            metrics=list(dict.fromkeys(key for _, _, values in rows for key in values)),
            better=dict(better or {}),
            keyframes=sorted({int(i) for i in keyframes}),
            **{"heading": "Methods side by side", **traits},
        )

    @classmethod
    def example(cls) -> "CompareGrid":
        """Four recolourings of one scene, measured against the exact one."""
        from flowedit.widgets.demo import KEYFRAMES, compared_rows

        rows = compared_rows()
        return cls(
            rows,
            better={"PSNR, dB": "high", "flicker": "low"},
            references=("source", "exact"),
            keyframes=KEYFRAMES,
            sort=["PSNR, dB", "down"],
            index=8,
            heading="Recolourings of one scene, against the exact one",
            note="computed scene",
        )

    def _picture(self) -> str:
        first = next(iter(self._clips.values()))
        shown = spread(len(first), self.keyframes, 5)
        words = f"Rows: {', '.join(self._clips)}. Columns: frames {', '.join(map(str, shown))}."
        strips = [contact_sheet(clip[shown], height=72) for clip in self._clips.values()]
        return f'<img alt="{html.escape(words)}" src="{encode_image(np.concatenate(strips), max_side=900)}">'

    def _table(self) -> Table:
        rows = [(name, *(values.get(key) for key in self.metrics)) for name, _, values in self._rows]
        return Table("Numbers of every row", ("name", *self.metrics), rows)
