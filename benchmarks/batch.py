"""`python -m benchmarks batch`: a batch against the same edits one by one, a long manifest, what the driver takes."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np
import psutil

from benchmarks.tables import markdown
from flowedit.environment import machine, versions
from flowedit.files import make_folder, write_json
from flowedit.media.clip import read_image, read_video, write_image, write_video
from flowedit.run.demo import make_demo

CLIPS, LINES, PRETENDED = 12, 10_000, 1000
_PRETENDED = """
import json, sys, time
from pathlib import Path
from benchmarks.batch import Pretended
from flowedit.batch.jobs import batch_steps
from flowedit.batch.manifest import entries_of, read_rows
from flowedit.environment import peak_memory_mb

path, count = Path(sys.argv[1]), int(sys.argv[2])
entries, _ = entries_of(read_rows(path)[:count], path.parent, path.parent / f"out{count}", {"preset": "draft"})
states = [record.state for record in batch_steps(entries, path.parent / f"out{count}", edit=Pretended())]
print(json.dumps([states.count("done"), time.process_time(), peak_memory_mb()]))
"""
_POLLS = """
import time, ray
from pathlib import Path
from flowedit.batch.painting import Painter
from flowedit.batch.worker import Worker

ray.init(address="local", include_dashboard=False, num_cpus=1, object_store_memory=80_000_000, log_to_driver=False)
actor = ray.remote(Worker).options(max_concurrency=3).remote(Painter(Path(), 0.0, 0))
ray.get(actor.ready.remote())
begun = time.process_time()
for _ in range(50):
    ray.get([actor.now.remote() for _ in range(20)])
print([time.process_time() - begun])
"""


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """One way of doing some work.

    Attributes:
        name: of the way.
        seconds: on the clock.
        processor: seconds of all its processes together.
        others: processor cores that other programs kept busy meanwhile.
        megabytes: most resident memory of the process that was started; those that it started are not counted.
    """

    name: str
    seconds: float
    processor: float
    others: float
    megabytes: float


class Pretended:
    """An edit that leaves what the batch looks for, in no time."""

    def __call__(self, request, watch) -> None:  # noqa: ANN001
        """Write `run.json` and an empty video."""
        from flowedit.run.outputs import asked_of

        (request.output / "edited.mp4").touch()
        write_json(request.output / "run.json", {"asked": asked_of(request)})


def measure_batch(store: Path) -> Iterator[str]:
    """Measure everything and keep it; a line on each as it is done.

    Workers run at the priority of the command, which Ray would lower: all that is compared competes alike.
    """
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    rows: dict[str, BatchRow] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        clips = _clips(folder / "in")
        flowedit = [sys.executable, "-m", "flowedit"]
        common = ["--preset", "draft", "-o"]
        singles = [[*flowedit, "edit", str(c / "source.mp4"), "-k", str(c), *common, str(c / "single")] for c in clips]
        together = [*flowedit, "batch", "--clips", f"{folder}/in/*/source.mp4", "--keyframes", "."]
        manifest = _manifest(make_folder(folder / "many"), clips[0])
        dry = [*flowedit, "batch", str(manifest), "-o", str(folder / "none"), "--preset", "draft", "--dry-run"]
        work: Mapping[str, Sequence[Sequence[str]]] = {
            f"dry run of {LINES} lines": [dry],
            "batch": [[*together, "--mirror", *common, str(folder / "out")]],
            "one by one": singles,
            "batch again, all done": [[*together, "--mirror", *common, str(folder / "out")]],
        }
        for name, commands in work.items():
            rows[name] = _row(name, commands)
            _keep(store, rows=[asdict(row) for row in rows.values()])
            yield f"{name}: {rows[name].seconds:.1f} s, {rows[name].processor:.1f} processor seconds"
        few, many = (_said(_PRETENDED, str(manifest), str(count)) for count in (100, PRETENDED))
    clip_ms, (poll_ms,) = 1000 * (many[1] - few[1]) / (PRETENDED - 100), _said(_POLLS)
    _keep(store, driver={"clip_ms": clip_ms, "poll_ms": poll_ms, "clips": many[0], "megabytes": [few[2], many[2]]})
    yield f"{clip_ms:.1f} ms of the driver a clip, {poll_ms:.2f} ms a poll"


def _keep(store: Path, **found: object) -> None:
    """Add to a record what was found; the rest of it stays."""
    held = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    write_json(store, {**held, **found, "versions": versions(), "machine": machine()}, indent=1)


def _clips(folder: Path) -> list[Path]:
    """Folders of a clip and its keyframes; each clip is the first one moved sideways, so that no two are the same."""
    made = make_demo(folder.parent / "demo", style="oil", clip="coffee")
    video, keyframes = (
        read_video(made.video, num_frames=33),
        [(index, read_image(path)) for index, path in made.keyframes],
    )
    found = [make_folder(folder / f"clip{i:02d}") for i in range(CLIPS)]
    for i, place in enumerate(found):
        write_video(place / "source.mp4", np.roll(video.frames, 40 * i, axis=2), video.fps)
        for index, image in keyframes:
            write_image(place / f"key-{index}.png", np.roll(image, 40 * i, axis=1))
    return found


def _manifest(folder: Path, clip: Path) -> Path:
    """A manifest of as many files as lines."""
    lines = []
    for i in range(LINES):
        copy(clip / "source.mp4", folder / f"{i}.mp4")
        copy(clip / "key-0.png", folder / f"{i}-0.png")
        lines.append(json.dumps({"video": f"{i}.mp4", "keyframes": [f"{i}-0.png"]}))
    path = folder / "clips.jsonl"
    path.write_text("\n".join(lines))
    return path


def _row(name: str, commands: Sequence[Sequence[str]]) -> BatchRow:
    """Run commands one after the other; what all their processes took, as seen four times a second."""
    mark, own, most, ended = uuid4().hex, dict[int, float](), [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(0.25):
            for process in psutil.process_iter():
                try:
                    if process.pid in own or process.environ().get("FLOWEDIT_MARK") == mark:
                        times = process.cpu_times()
                        own[process.pid] = times.user + times.system
                        if process.pid in started:
                            most[0] = max(most[0], process.memory_info().rss / 1e6)
                except psutil.Error:
                    continue

    started: set[int] = set()
    looking = threading.Thread(target=look)
    looking.start()
    busy, begun = _busy(), time.perf_counter()
    for command in commands:
        process = subprocess.Popen(
            command, env={**os.environ, "FLOWEDIT_MARK": mark}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        started.add(process.pid)
        said = process.communicate()[1].decode()
        assert process.returncode == 0, said  # noqa: S101
    seconds = time.perf_counter() - begun
    ended.set()
    looking.join()
    processor = sum(own.values())
    others = max(0.0, _busy() - busy - processor) / seconds
    return BatchRow(name=name, seconds=seconds, processor=processor, others=others, megabytes=most[0])


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def _said(code: str, *arguments: str) -> list[float]:
    """What a program of its own prints."""
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return json.loads(found.stdout.strip().splitlines()[-1])


def read_batch(store: Path) -> dict:
    """A record: its rows by name, and what the driver takes."""
    held = json.loads(store.read_text(encoding="utf-8"))
    return {**held, "rows": {row["name"]: BatchRow(**row) for row in held["rows"]}}


def to_markdown(held: dict) -> str:
    """The rows of a record as a table."""
    heads = ("what", "seconds", "processor seconds", "other programs, cores", "memory of the driver, MB")
    lines = [
        (row.name, f"{row.seconds:.1f}", f"{row.processor:.1f}", f"{row.others:.2f}", f"{row.megabytes:.0f}")
        for row in held["rows"].values()
    ]
    return markdown(heads, lines)
