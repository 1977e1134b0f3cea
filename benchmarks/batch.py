"""`python -m benchmarks batch`: clips edited one by one and as a batch, and a long manifest checked."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.table import markdown
from flowedit.environment import machine, versions
from flowedit.files import make_folder, write_json
from flowedit.media.clip import read_video
from flowedit.media.images import read_image, write_image
from flowedit.media.writer import write_video
from flowedit.run.demo import make_demo

CLIPS, LINES = 12, 10_000


def measure_batch(store: Path) -> Iterator[str]:
    """Time each way and keep the seconds; a line on each as it is done, and the rest of the record stays.

    Half of the single edits come before the batch, half after it, since other programs come and go; and workers keep
    the priority that Ray would lower.
    """
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    seconds = dict[str, float]()
    with TemporaryDirectory() as name:
        folder = Path(name)
        clips, flowedit, common = _clips(folder), [sys.executable, "-m", "flowedit"], ["--preset", "draft", "-o"]
        singles = [[*flowedit, "edit", str(c / "source.mp4"), "-k", str(c), *common, str(c / "single")] for c in clips]
        batch = [*flowedit, "batch", "--clips", f"{folder}/in/*/source.mp4", "--keyframes", ".", "--mirror"]
        batch += [*common, str(folder / "out")]
        dry = [*flowedit, "batch", str(_manifest(make_folder(folder / "many"), clips[0])), "--dry-run"]
        for title, commands in (
            (f"dry run of {LINES} lines", [[*dry, *common, str(folder / "none")]]),
            ("one by one", singles[: CLIPS // 2]),
            ("batch", [batch]),
            ("one by one", singles[CLIPS // 2 :]),
            ("batch again, all done", [batch]),
        ):
            begun = time.perf_counter()
            for command in commands:
                subprocess.run(command, check=True, capture_output=True)
            seconds[title] = seconds.get(title, 0.0) + time.perf_counter() - begun
            yield f"{title}: {seconds[title]:.1f} s"
    rows = [{"name": name, "seconds": taken} for name, taken in seconds.items()]
    held = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    write_json(store, {**held, "rows": rows, "versions": versions(), "machine": machine()}, indent=1)


def _clips(folder: Path) -> list[Path]:
    """Folders of a clip and its keyframes; each clip is the first one moved sideways, so that no two are the same."""
    made = make_demo(folder / "demo", style="oil", clip="coffee")
    video = read_video(made.video, num_frames=33)
    found = [make_folder(folder / "in" / f"clip{i:02d}") for i in range(CLIPS)]
    for i, place in enumerate(found):
        write_video(place / "source.mp4", np.roll(video.frames, 40 * i, axis=2), video.fps)
        for index, path in made.keyframes:
            write_image(place / f"key-{index}.png", np.roll(read_image(path), 40 * i, axis=1))
    return found


def _manifest(folder: Path, clip: Path) -> Path:
    """A manifest of as many names of one clip as lines."""
    lines = []
    for i in range(LINES):
        (folder / f"{i}.mp4").hardlink_to(clip / "source.mp4")
        (folder / f"{i}-0.png").hardlink_to(clip / "key-0.png")
        lines.append(json.dumps({"video": f"{i}.mp4", "keyframes": [f"{i}-0.png"]}))
    path = folder / "clips.jsonl"
    path.write_text("\n".join(lines))
    return path


def batch_table(record: Mapping[str, Any]) -> str:
    """The ways, and their seconds."""
    return markdown(("what", "seconds"), [(row["name"], f"{row['seconds']:.0f}") for row in record["rows"]])
