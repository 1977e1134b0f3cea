"""The report of a run: one page that needs no network and no other file, with its video and contact sheet."""

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from flowedit.keyframes import Keyframe
from flowedit.metrics import flashes
from flowedit.show.display import facts_tag, figure_tag, image_tag, spread, video_tag
from flowedit.show.figures import drift_figure
from flowedit.show.page import page
from flowedit.trace import Trace

EMBED_LIMIT = 24_000_000
"""Bytes of a video up to which the page carries it; a larger one is linked beside the page."""
_INK, _ACCENT, _GAP, _LEAST = (32, 33, 36), (214, 96, 38), 8, 192
_CSS = """
body { max-width: 1080px; }
video { width: 100%; }
img { background: #fff; }
table { width: 100%; font-size: .9rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 0 2rem; }
"""

Picture = UInt8[np.ndarray, "_H _W 3"]
Video = UInt8[np.ndarray, "F _H _W 3"]


def render_report(manifest: Mapping[str, Any], trace: Trace, *, video: Path, sheet: Path) -> str:
    """The report as one HTML page, of what `run.json` holds, the trace, and two files.

    `video` is source and edit side by side, an MP4; `sheet` the contact sheet, a PNG.
    """
    facts = {
        "Measured": manifest["metrics"],
        "Seconds": manifest["seconds"],
        "Settings": manifest["settings"],
        "Machine": {**manifest["versions"], **manifest["machine"]},
    }
    body = (
        f'<p class="lead">{html.escape(_lead(manifest))}</p>{_video(video)}'
        f"<h2>Advice</h2>{_list(manifest['advice']) or '<p>Nothing to change stands out.</p>'}"
        f"<h2>Frames</h2>{image_tag(sheet.read_bytes(), 'Source frames, styled keyframes, edited frames', 'png')}"
        f"{_styling(manifest.get('styling'))}<h2>How the keyframes were reached</h2>{_readings(trace)}"
        f"<h2>Colours over time</h2>{_colours(manifest)}"
        f'<div class="columns">{"".join(facts_tag(name, values) for name, values in facts.items())}</div>'
    )
    return page(f"{manifest['source']['name']}: {manifest['settings']['method']}", body, _CSS)


def _lead(manifest: Mapping[str, Any]) -> str:
    """What was edited, and at which sizes."""
    width, height, output = manifest["width"], manifest["height"], manifest["output"]
    same = (output["width"], output["height"]) == (width, height)
    written = "" if same else f", written at {output['width']} x {output['height']}"
    keyframes = ", ".join(map(str, manifest["keyframes"])) or "none"
    return (
        f"{manifest['num_frames']} frames, edited at {width} x {height}{written}, model {manifest['model']}, "
        f"keyframes at {keyframes}."
    )


def _readings(trace: Trace) -> str:
    if not trace.steps or not trace.keyframes:
        return "<p>This method corrects nothing at keyframes, so there are no residuals to show.</p>"
    return figure_tag(trace.plot(), "Gap, residual and velocity difference per keyframe against sigma", "svg")


def _colours(manifest: Mapping[str, Any]) -> str:
    """The curve of the edit's colours against the source's, and frames that flash."""
    offsets = np.array(manifest["colour_offsets"])
    sudden = ", ".join(map(str, flashes(offsets)))
    said = f"Frames that flash, in another colour than those around them: {sudden}." if sudden else "No frame flashes."
    curve = "Mean colour of the edit minus that of the source, frame by frame"
    return f"<p>{said}</p>{figure_tag(drift_figure(offsets, manifest['keyframes']), curve, 'svg')}"


def _styling(styling: Mapping[str, Any] | None) -> str:
    """What the run that painted the keyframes says of itself; nothing where they came as pictures."""
    if styling is None:
        return ""
    notes, usage = _list(styling["notes"]) or "<p>They were painted as planned.</p>", styling["usage"]
    if usage.get("calls"):
        notes += f"<p>Gemini: {usage['calls']} calls, about {usage['usd']:.2f} USD.</p>"
    return f"<h2>How the keyframes were painted</h2>{notes}"


def _video(path: Path) -> str:
    if path.stat().st_size > EMBED_LIMIT:
        return f'<p>Source and edit side by side: <a href="{path.name}">{path.name}</a>, too large for this page.</p>'
    return video_tag(path.read_bytes(), "Source at the left, edit at the right")


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in items)}</ul>" if items else ""


def comparison_frames(source: Video, edited: Video, keyframes: Sequence[Keyframe]) -> Iterator[Picture]:
    """Source and edit, in the source's size, side by side under a caption, marked at keyframes; both sides even."""
    marked, size = {keyframe.index for keyframe in keyframes}, _shown_size(source)
    for index, (left, right) in enumerate(zip(source, edited, strict=True)):
        note = f"edited, frame {index}{', keyframe' if index in marked else ''}"
        frame = _beside([_cell(left, "source", size), _cell(right, note, size, accent=index in marked)])
        height, width = (side // 2 * 2 for side in frame.shape[:2])
        yield frame[:height, :width]


def contact_sheet(source: Video, edited: Video, keyframes: Sequence[Keyframe], *, columns: int = 5) -> Picture:
    """One picture of a run: source frames above the edited ones, the styled keyframes between where there are any."""
    styled, size = {keyframe.index: keyframe.image for keyframe in keyframes}, _shown_size(source)
    shown = spread(len(source), sorted(styled), columns)
    rows = {"source": dict(enumerate(source)), "keyframe": styled, "edited": dict(enumerate(edited))}
    drawn = [
        _beside([_cell(pictures.get(index), f"{name} {index}", size) for index in shown])
        for name, pictures in rows.items()
        if pictures
    ]
    return np.concatenate(drawn)


def _shown_size(source: Video) -> tuple[int, int]:
    """Height and width of a picture, small ones enlarged by a whole factor until they can be looked at."""
    factor = max(1, round(_LEAST / source.shape[1]))
    return source.shape[1] * factor, source.shape[2] * factor


def _cell(picture: Picture | None, words: str, size: tuple[int, int], *, accent: bool = False) -> Picture:
    """A picture of a size under its caption; white where there is none."""
    height, width = size
    letters = max(15, width // 16)
    band = letters * 4 // 3 + 8
    cell = np.full((band + height, width, 3), 255, np.uint8)
    if picture is None:
        return cell
    shrinks = picture.shape[0] > height
    cell[band:] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    written = Image.fromarray(cell[:band])
    ImageDraw.Draw(written).text((4, 3), words, fill=_INK, font=ImageFont.load_default(size=letters))
    cell[:band] = np.asarray(written)
    if accent:
        cell[band - 3 : band] = _ACCENT
    return cell


def _beside(cells: Sequence[Picture]) -> Picture:
    gap = np.full((cells[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for cell in cells for part in (cell, gap)][:-1], axis=1)
