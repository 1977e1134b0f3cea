"""`report.html`: a page that needs no network, no server and no other file."""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from flowedit.report.lines import readings_plot, readings_table
from flowedit.trace import Trace

TEMPLATE = Path(__file__).with_name("report.html")
EMBED_LIMIT = 24_000_000
"""Bytes of a video up to which the page carries it; a larger one is linked beside the page."""


def render_report(
    manifest: Mapping[str, Any],
    trace: Trace,
    *,
    videos: Mapping[str, Path],
    sheet: Path,
    advice: Sequence[str],
) -> str:
    """The report as one HTML page.

    Args:
        manifest: what `run.json` holds.
        trace: the readings of the run; may be empty.
        videos: label -> mp4 file, shown side by side and played together.
        sheet: the contact sheet, PNG.
        advice: sentences of advice; may be empty.
    """
    num_frames, height, width = (manifest[name] for name in ("num_frames", "height", "width"))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(f"{manifest['source']['name']}: {manifest['settings']['method']}"),
        lead=html.escape(
            f"{num_frames} frames, edited at {width} x {height}{_written(manifest)}, model {manifest['model']}, "
            f"keyframes at {', '.join(map(str, manifest['keyframes'])) or 'none'}."
        ),
        videos="".join(_video(label, path) for label, path in videos.items()),
        sheet=_image(sheet.read_bytes(), "png", "Contact sheet: source frames, styled keyframes, edited frames"),
        advice=_list(advice) or "<p>Nothing to change stands out.</p>",
        styling=_styling(manifest.get("styling")),
        plot=_plot(trace),
        metrics=_table(manifest["metrics"]),
        settings=_table(manifest["settings"]),
        timings=_table(manifest["seconds"]),
        machine=_table({**manifest["versions"], **manifest["machine"]}),
    )


def _written(manifest: Mapping[str, Any]) -> str:
    """The size of the edited video, where it is not the one that was edited at."""
    output = manifest.get("output", manifest)
    written = (output["width"], output["height"])
    same = written == (manifest["width"], manifest["height"])
    return "" if same else f", written at {written[0]} x {written[1]}"


def _styling(styling: Mapping[str, Any] | None) -> str:
    """What the run that painted the keyframes says of itself; nothing where they came as pictures."""
    if styling is None:
        return ""
    notes = _list(styling["notes"]) or "<p>They were painted as planned.</p>"
    usage = styling["usage"]
    if usage.get("calls"):
        notes += f"<p>Gemini: {usage['calls']} calls, about {usage['usd']:.2f} USD.</p>"
    return f"<h2>How the keyframes were painted</h2>{notes}"


def _plot(trace: Trace) -> str:
    if not trace.steps or not trace.keyframes:
        return "<p>This method takes no steps with keyframes, so there are no residuals to show.</p>"
    if len(trace.steps) == 1:
        return f"<p>One step, at sigma {trace.sigmas[0]:.3g}: there is no course to draw.</p>{readings_table(trace)}"
    return readings_plot(trace)


def _video(label: str, path: Path) -> str:
    data = path.read_bytes()
    source = f"data:video/mp4;base64,{base64.b64encode(data).decode()}" if len(data) <= EMBED_LIMIT else path.name
    name = html.escape(label)
    return f'<figure><video src="{source}" muted loop playsinline preload="auto" aria-label="{name}"></video><figcaption>{name}</figcaption></figure>'  # noqa: E501


def _image(data: bytes, kind: str, alt: str) -> str:
    return f'<img alt="{html.escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in items)}</ul>" if items else ""


def _table(values: Mapping[str, Any]) -> str:
    rows = (
        f"<tr><th scope='row'>{html.escape(str(k))}</th><td>{html.escape(_cell(v))}</td></tr>"
        for k, v in values.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if value != "" else "(empty)"
