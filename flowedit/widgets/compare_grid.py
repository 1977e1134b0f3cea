"""Benchmark rows as clips that move in step, with their numbers, sortable by any of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import traitlets

from flowedit.errors import WidgetError
from flowedit.show.display import picture_tag, spread, table_tag
from flowedit.widgets._base import FlowWidget, plain
from flowedit.widgets._sprites import check_same_shape, contact_sheet, encode_clips
from flowedit.widgets.export import script, style

MAX_ROWS = 24

Row = tuple[str, np.ndarray, Mapping[str, float]]
"""`(name, frames, metrics)`, frames uint8 (F, H, W, 3)."""


class CompareGrid(FlowWidget):
    """One clip and its numbers per row.

    Args:
        rows: `(name, frames, metrics)`; all clips have one shape, and names differ.
        better: metric to "high" or "low", for the metrics that have a better direction.
        references: names of rows that are no competitors (the source, the truth): in front, and never the best.
        keyframes: pixel indices marked on the track.

    Attributes:
        sort: column and direction, such as `["PSNR", "down"]`; empty column for the given order.
        index: pixel frame shown.

    Raises:
        WidgetError: no row, too many, equal names, clips of different shapes, or an unknown direction.
    """

    _esm = script("save", "player", "compare_grid")
    _css = style("compare_grid")

    rows = traitlets.List().tag(sync=True)
    metrics = traitlets.List(traitlets.Unicode()).tag(sync=True)
    better = traitlets.Dict().tag(sync=True)
    keyframes = traitlets.List(traitlets.Int()).tag(sync=True)
    fps = traitlets.Float(16.0).tag(sync=True)
    sort = traitlets.List(traitlets.Unicode(), ["", "down"]).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        better: Mapping[str, str] | None = None,
        references: Sequence[str] = (),
        keyframes: Sequence[int] = (),
        **traits: object,
    ) -> None:
        names = [name for name, _, _ in rows]
        if not 1 <= len(rows) <= MAX_ROWS or len(set(names)) != len(names):
            raise WidgetError(f"Got rows {names}; this widget shows 1 to {MAX_ROWS} with different names.")
        wrong = {key: way for key, way in (better or {}).items() if way not in ("high", "low")}
        if wrong:
            raise WidgetError(f'better= says {wrong}; each metric is "high" or "low".')
        clips = {name: np.asarray(frames) for name, frames, _ in rows}
        check_same_shape(clips)
        self._clips = clips
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

    def _still(self) -> str:
        first = next(iter(self._clips.values()))
        shown = spread(len(first), self.keyframes, 5)
        words = f"Rows: {', '.join(self._clips)}. Columns: frames {', '.join(map(str, shown))}."
        strips = np.concatenate([contact_sheet(clip[shown], height=72) for clip in self._clips.values()])
        rows = [(row["name"], *(row["metrics"].get(key) for key in self.metrics)) for row in self.rows]
        table = table_tag("Numbers of every row", ("name", *self.metrics), rows)
        return picture_tag(strips, words, max_side=900) + table
