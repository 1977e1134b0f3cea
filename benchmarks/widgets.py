"""How fast and how small the widgets are, measured in a real browser: `python -m benchmarks widgets`.

The clip is the worst case that a short one can be: a textured scene that moves as a whole, with grain on every frame.
"""

import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.tables import markdown
from flowedit.files import write_json
from flowedit.widgets._sprites import encode_clip
from flowedit.widgets.frame_scrubber import FrameScrubber

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHANGES = 200

# Time from the gesture until the canvas holds the new frame: reading a pixel back waits for the drawing.
_CHANGE_FRAMES = """(changes) => {
    const slider = document.querySelector("input.fe-range");
    const canvas = [...document.querySelectorAll("canvas")].find((node) => node.checkVisibility());
    const pen = canvas.getContext("2d");
    const times = [];
    for (let i = 0; i < changes; i += 1) {
        slider.value = (i * 17 + 1) % (Number(slider.max) + 1);
        const began = performance.now();
        slider.dispatchEvent(new Event("input"));
        pen.getImageData(0, 0, 1, 1);
        times.push(performance.now() - began);
    }
    return times;
}"""

# Time from handing the state to the widget until its first frame is on the canvas.
_FIRST_PAINT = """async () => {
    const models = JSON.parse(document.getElementById("fe-models").textContent);
    const code = JSON.parse(document.getElementById("fe-modules").textContent)[models[0].module];
    const { default: widget } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const state = models[0].state;
    const model = { get: (key) => state[key], set() {}, on() {}, off() {}, save_changes() {} };
    const place = document.body.appendChild(document.createElement("div"));
    const began = performance.now();
    widget.render({ model, el: place });
    while (place.querySelector("[data-drawn]") === null) await new Promise((done) => setTimeout(done, 1));
    return performance.now() - began;
}"""


@dataclass(frozen=True)
class Reading:
    """One measurement beside the most it may be."""

    name: str
    value: float
    limit: float
    unit: str


def grainy_clip(num_frames: int = 81, height: int = 272, width: int = 480, seed: int = 0) -> np.ndarray:
    """A textured picture panned under fresh grain, uint8 (num_frames, height, width, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height + 3 * num_frames, width + 4 * num_frames, 3))
    for size in (64, 16, 4):
        rows, columns = (-(-length // size) for length in picture.shape[:2])
        blocks = rng.normal(0, 8 * size**0.4, (rows, columns, 3))
        picture += np.kron(blocks, np.ones((size, size, 1)))[: picture.shape[0], : picture.shape[1]]
    moved = [picture[3 * i : 3 * i + height, 4 * i : 4 * i + width] for i in range(num_frames)]
    grain = rng.normal(0, 3, (num_frames, height, width, 3))
    return np.clip(np.stack(moved) + 128 + grain, 0, 255).astype(np.uint8)


def sprite_readings() -> Iterator[Reading]:
    """Size of, and time for, the sheets of 81 frames of 480 x 272; the best of three, as the machine is shared."""
    clip = grainy_clip()
    seconds, size = [], 0
    for _ in range(3):
        began = time.perf_counter()
        size = encode_clip(clip)["bytes"]
        seconds.append(time.perf_counter() - began)
    yield Reading("sprite sheets of 81 frames, 480 x 272", size / 1000, 600, "kB")
    yield Reading("computing them", min(seconds), 1, "s")


def page_readings() -> Iterator[Reading]:
    """Frame changes and first paint of a scrubber with two clips at 480p, drawn at their full 832 x 480."""
    from playwright.sync_api import sync_playwright

    source = grainy_clip(33, 480, 832)
    clips = {"source": source, "edited": source[:, :, ::-1]}
    widget = FrameScrubber(clips)
    widget.clips = [{"name": name, **encode_clip(clip, 6_000_000)} for name, clip in clips.items()]
    if widget.clips[0]["cell"] != [832, 480]:
        raise RuntimeError(f"The clip was drawn at {widget.clips[0]['cell']}; the measurement needs 832 x 480.")
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = _opened(browser, widget, Path(folder))
        page.wait_for_selector("[data-drawn]")
        for mode in ("side", "wipe", "difference"):
            page.locator(f"[data-value={mode}]").click()
            times = page.evaluate(_CHANGE_FRAMES, CHANGES)
            yield Reading(f"frame change at 480p, {mode} (median of {CHANGES})", statistics.median(times), 16, "ms")
        page = _opened(browser, FrameScrubber({"source": grainy_clip(), "edited": grainy_clip(seed=1)}), Path(folder))
        paints = [page.evaluate(_FIRST_PAINT) for _ in range(5)]
        name = "first paint after the state arrives, two clips of 81 frames (median of 5)"
        yield Reading(name, statistics.median(paints), 300, "ms")


def _opened(browser: "Browser", widget: FrameScrubber, folder: Path) -> "Page":
    """A widget's exported page, opened from disk, drawn and at rest."""
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    widget.to_html(folder / "page.html")
    page.goto((folder / "page.html").resolve().as_uri())
    page.wait_for_selector("html[data-fe-ready]", state="attached")
    page.wait_for_timeout(1500)
    return page


def report_widgets(say: Callable[[str], object], store: Path) -> bool:
    """Measure everything, say each as it is done, and keep the readings as JSON.

    Returns:
        Whether every limit was kept.
    """
    readings = []
    for reading in (*sprite_readings(), *page_readings()):
        readings.append(reading)
        mark = "ok" if reading.value <= reading.limit else "OVER"
        say(f"{mark:4} {reading.value:8.2f} {reading.unit:2} (at most {reading.limit:g})  {reading.name}")
    write_json(store, [asdict(reading) for reading in readings], indent=1)
    return all(reading.value <= reading.limit for reading in readings)


def to_markdown(store: Path) -> str:
    """A record as a table with one line per measurement."""
    readings = [Reading(**row) for row in json.loads(store.read_text(encoding="utf-8"))]
    rows = [(r.name, f"{r.value:.3g} {r.unit}", f"{r.limit:g} {r.unit}") for r in readings]
    return markdown(("what", "measured", "at most"), rows)
