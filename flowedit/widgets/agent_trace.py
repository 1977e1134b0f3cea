"""A styling run replayed node by node: what ran, for how long, what it was told, what it cost, what it made."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import traitlets
from PIL import Image

from flowedit.errors import WidgetError
from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget, Table, plain
from flowedit.widgets._picture import bars_svg, image
from flowedit.widgets._sprites import check_clip, encode_images, fit_side, room_beside

MAX_EVENTS = 400
_PICTURE_SIDE = 240

RECORDED = Path(__file__).parent / "recorded"
"""Events of `flowedit style clip.mp4 --style watercolour --target-fps 2`, its pictures encoded anew as WebP."""


class AgentTrace(FlowWidget):
    """The events of a run, in the order in which they ended.

    Keys: arrows step, PgUp and PgDn move by five, Home and End, space replays.

    Attributes:
        events: what is shown; each event's pictures name theirs in `pictures`.
        pictures: every picture once, as encoded for the page.
        position: the event shown, from 0.
    """

    _esm = script("player", "agent_trace")
    _css = style("player", "frame_scrubber", "keyframe_gallery", "agent_trace")

    events = traitlets.List().tag(sync=True)
    pictures = traitlets.Dict().tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)

    def __init__(self, events: Sequence[Mapping], *, folder: str | Path | None = None, **traits: object) -> None:
        """Show `events`.

        Args:
            events: one mapping each, with `node` and any of `keyframe`, `seconds`, `prompt`, `usage` (`calls`,
                `tokens_in`, `tokens_out`, `usd`), `images` (arrays uint8 (H, W, 3), or file names), `values`, `notes`
                and `outcome` ("done", "failed", "waiting"). `tokens` and `cost` are taken for short forms of `usage`.
            folder: where image file names are looked up; one that is not there is named instead of shown.
            **traits: any attribute above, and `heading` and `note`.

        Raises:
            WidgetError: an event without a node, or too many events.
        """
        if len(events) > MAX_EVENTS:
            raise WidgetError(f"Got {len(events)} events; this widget shows at most {MAX_EVENTS}. Pass a part of them.")
        album = _Album(Path(folder) if folder is not None else None)
        shown = [_event(event, album) for event in events]
        defaults = {"position": max(len(shown) - 1, 0), "heading": "What the agent did"}
        super().__init__(events=shown, pictures=album.encoded(room_beside(shown)), **{**defaults, **traits})

    @classmethod
    def example(cls) -> "AgentTrace":
        """A recorded run of the keyframe agent without a model: four of five keyframes were painted a second time."""
        events = json.loads((RECORDED / "agent.json").read_text(encoding="utf-8"))["events"]
        return cls(events, folder=RECORDED, position=10, note="recorded, painted offline")

    def _picture(self) -> str:
        names = [_name(event) for event in self.events]
        lengths = [event["seconds"] or 0.0 for event in self.events]
        starts = [0.0, *accumulate(lengths)][:-1]
        title = "Seconds of work of each event, in order"
        return image(bars_svg(names, starts, lengths, title, "s"), title) if names else "<p>Nothing was recorded.</p>"

    def _table(self) -> Table:
        columns = ("event", "outcome", "seconds", "calls", "tokens", "USD", "notes")
        return Table("Every event of the run", columns, [_row(event) for event in self.events])


class _Album:
    """The pictures of a run, each kept once however many events show it."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._keys: dict[Path, str] = {}
        self._images: dict[str, np.ndarray] = {}

    def add(self, item: object, place: int) -> dict | None:
        """The name of an event's picture and its key; None for a file that is not there."""
        if isinstance(item, np.ndarray):
            return {"name": f"picture {place}", "key": self._keep(item)}
        path = self._path(item)
        if not path.is_file():
            return None
        if path not in self._keys:
            with Image.open(path) as opened:
                self._keys[path] = self._keep(np.asarray(opened.convert("RGB")))
        return {"name": path.name, "key": self._keys[path]}

    def missing(self, items: Sequence[object]) -> list[str]:
        """A sentence for each file among `items` that is not there."""
        paths = [self._path(item) for item in items if not isinstance(item, np.ndarray)]
        return [f"The picture {path.name} is no longer there." for path in paths if not path.is_file()]

    def encoded(self, budget: int) -> dict[str, str]:
        """Key to data URL, within `budget` bytes together."""
        urls = encode_images(list(self._images.values()), max_side=_PICTURE_SIDE, budget=budget)
        return dict(zip(self._images, urls, strict=True))

    def _path(self, item: object) -> Path:
        return (self._folder / str(item)) if self._folder is not None else Path(str(item))

    def _keep(self, image: np.ndarray) -> str:
        array = np.ascontiguousarray(check_clip(image[None], "image")[0])
        key = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()[:16]
        if key not in self._images:
            self._images[key] = fit_side(array, _PICTURE_SIDE)
        return key


def _event(event: Mapping, album: _Album) -> dict:
    if not event.get("node"):
        raise WidgetError(f"Event {dict(event)!r:.80} names no node; every event needs one.")
    usage = dict(event.get("usage") or {})
    if "tokens" in event:
        usage.setdefault("tokens_out", event["tokens"])
    if "cost" in event:
        usage.setdefault("usd", event["cost"])
    return {
        "node": str(event["node"]),
        "keyframe": event.get("keyframe"),
        "seconds": plain(float(event.get("seconds") or 0.0)),
        "prompt": str(event.get("prompt") or ""),
        "usage": plain(usage),
        "pictures": [p for p in (album.add(item, i) for i, item in enumerate(event.get("images", ()), 1)) if p],
        "values": plain(dict(event.get("values") or {})),
        "notes": [*map(str, event.get("notes", ())), *album.missing(event.get("images", ()))],
        "outcome": str(event.get("outcome", "done")),
    }


def _name(event: Mapping) -> str:
    return event["node"] if event["keyframe"] is None else f"{event['node']} {event['keyframe']}"


def _row(event: Mapping) -> tuple:
    usage = event["usage"]
    tokens = usage.get("tokens_in", 0) + usage.get("tokens_out", 0)
    notes = " ".join(event["notes"])
    return (
        _name(event),
        event["outcome"],
        event["seconds"],
        usage.get("calls", 0),
        tokens,
        float(usage.get("usd", 0)),
        notes,
    )
