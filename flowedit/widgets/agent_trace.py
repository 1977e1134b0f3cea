"""A styling run replayed node by node: what ran, for how long, what it was told, what it cost, what it made."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from PIL import Image

from flowedit.errors import WidgetError
from flowedit.show.display import table_tag
from flowedit.widgets._base import FlowWidget, plain
from flowedit.widgets._sprites import encode_images, room_beside
from flowedit.widgets.export import script, style

MAX_EVENTS = 400
_PICTURE_SIDE = 240
_COLUMNS = ("event", "outcome", "seconds", "calls", "tokens", "USD", "notes")


class AgentTrace(FlowWidget):
    """The events of a run, in the order in which they ended.

    Keys: arrows step, PgUp and PgDn move by five, Home and End, space replays.

    Args:
        events: one mapping each, with `node` and any of `keyframe`, `seconds`, `prompt`, `usage` (`calls`,
            `tokens_in`, `tokens_out`, `usd`), `images` (file names), `values`, `notes`
            and `outcome` ("done", "failed", "waiting").
        folder: where image file names are looked up; one that is not there is named instead of shown.

    Attributes:
        events: what is shown; each event's pictures name theirs in `pictures`.
        pictures: every picture once, as encoded for the page.
        position: the event shown, from 0.

    Raises:
        WidgetError: an event without a node, or too many events.
    """

    _esm = script("player", "agent_trace")
    _css = style("agent_trace")

    events = traitlets.List().tag(sync=True)
    pictures = traitlets.Dict().tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)

    def __init__(self, events: Sequence[Mapping], *, folder: str | Path | None = None, **traits: object) -> None:
        if len(events) > MAX_EVENTS:
            raise WidgetError(f"Got {len(events)} events; this widget shows at most {MAX_EVENTS}. Pass a part of them.")
        album: dict[str, np.ndarray] = {}
        shown = [_event(event, Path(folder or ""), album) for event in events]
        urls = encode_images(list(album.values()), max_side=_PICTURE_SIDE, budget=room_beside(shown))
        defaults = {"position": max(len(shown) - 1, 0), "heading": "What the agent did"}
        super().__init__(events=shown, pictures=dict(zip(album, urls, strict=True)), **{**defaults, **traits})

    def _still(self) -> str:
        if not self.events:
            return "<p>Nothing was recorded.</p>"
        last = [event for event in self.events if event["pictures"]][-1:]
        shown = [(f"{one['name']}, a picture of {event['node']}", one) for event in last for one in event["pictures"]]
        pictures = [
            f'<img alt="{html.escape(alt)}" src="{self.pictures[one["key"]]}" width="160">' for alt, one in shown[:6]
        ]
        return "".join(pictures) + table_tag("Every event of the run", _COLUMNS, [_row(event) for event in self.events])


def _event(event: Mapping, folder: Path, album: dict[str, np.ndarray]) -> dict[str, Any]:
    """An event as the page takes it; its pictures join `album`."""
    if not event.get("node"):
        raise WidgetError(f"Event {dict(event)!r:.80} names no node; every event needs one.")
    pictures, missing = [], []
    for item in map(str, event.get("images", ())):
        path = folder / item
        if not path.is_file():
            missing.append(f"The picture {path.name} is no longer there.")
            continue
        if item not in album:
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as opened:
                album[item] = np.asarray(opened.convert("RGB"))
        pictures.append({"name": path.name, "key": item})
    return {
        "node": str(event["node"]),
        "keyframe": event.get("keyframe"),
        "seconds": plain(float(event.get("seconds") or 0.0)),
        "prompt": str(event.get("prompt") or ""),
        "usage": plain(dict(event.get("usage") or {})),
        "pictures": pictures,
        "values": plain(dict(event.get("values") or {})),
        "notes": [*map(str, event.get("notes", ())), *missing],
        "outcome": str(event.get("outcome", "done")),
    }


def _row(event: Mapping) -> tuple:
    name = event["node"] if event["keyframe"] is None else f"{event['node']} {event['keyframe']}"
    usage = event["usage"]
    tokens = usage.get("tokens_in", 0) + usage.get("tokens_out", 0)
    spent = (usage.get("calls", 0), tokens, float(usage.get("usd", 0)))
    return (name, event["outcome"], event["seconds"], *spent, " ".join(event["notes"]))
