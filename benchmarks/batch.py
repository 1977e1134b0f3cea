"""`python -m benchmarks batch`: a batch against the same edits one by one, a long manifest, what the driver takes."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import psutil

from benchmarks.table import markdown
from flowedit.batch.jobs import INDEX_S, POLL_S
from flowedit.batch.record import RECORD
from flowedit.environment import machine, peak_memory_mb, versions
from flowedit.files import make_folder, write_json
from flowedit.media.clip import read_image, read_video, write_image, write_video
from flowedit.run.demo import make_demo

if TYPE_CHECKING:
    from benchmarks.gpu import Record

CLIPS, LINES, PENDING, NODES = 12, 10_000, 800, 100
EDIT = "Wan2.1-Fun-1.3B-InP", "edit of 8 steps, unguided: total", 5
"""The edit that the estimate has GPUs make: the checkpoint, the row of the GPU benchmark, and its keyframes."""
PIXELS, FILM_PIXELS = 33 * 288 * 432, 81 * 480 * 832
"""Of the clips that are edited here, and of that edit's."""


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """One way of doing some work.

    Attributes:
        name: of the way.
        seconds: on the clock.
        processor: seconds of all its processes together.
        others: processor seconds that other programs took meanwhile.
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

    Half of the single edits come before the batch, half after it, and workers keep the priority that Ray would lower.
    """
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    with TemporaryDirectory() as name:
        folder = Path(name)
        clips = _clips(folder / "in")
        flowedit = [sys.executable, "-m", "flowedit"]
        common = ["--preset", "draft", "-o"]
        singles = [[*flowedit, "edit", str(c / "source.mp4"), "-k", str(c), *common, str(c / "single")] for c in clips]
        batch = [*flowedit, "batch", "--clips", f"{folder}/in/*/source.mp4", "--keyframes", ".", "--mirror", *common]
        manifest = _manifest(make_folder(folder / "many"), clips[0])
        dry = [*flowedit, "batch", str(manifest), "-o", str(folder / "none"), "--preset", "draft", "--dry-run"]
        work: Sequence[tuple[str, Sequence[Sequence[str]]]] = [
            (f"dry run of {LINES} lines", [dry]),
            ("one by one", singles[: CLIPS // 2]),
            ("batch", [[*batch, str(folder / "out")]]),
            ("one by one", singles[CLIPS // 2 :]),
            ("batch again, all done", [[*batch, str(folder / "out")]]),
        ]
        rows: dict[str, BatchRow] = {}
        for name, commands in work:
            rows[name] = _row(name, commands, rows.get(name))
            _keep(store, rows=[asdict(row) for row in rows.values()])
            yield f"{name}: {rows[name].seconds:.1f} s, {rows[name].processor:.1f} processor seconds"
        kept = [json.loads(path.read_bytes()) for path in (folder / "out").rglob(RECORD)]
        read, written = (sum(_bytes(path, single=single) for path in clips) for single in (False, True))
        few, many = (_said(pretend, manifest, count) for count in (LINES // 10, LINES))
        driver = {
            "clip_ms": 1000 * (many["processor"] - few["processor"]) / (many["done"] - few["done"]),
            "megabytes": {int(each["done"]): each["megabytes"] for each in (few, many)},
            **_said(ask),
            **_said(show, manifest),
            "clip_s": sum(each["seconds"] for each in kept) / CLIPS,
            "read_mb": read / CLIPS / 1e6,
            "written_mb": written / CLIPS / 1e6,
        }
    _keep(store, driver=driver)
    yield json.dumps(driver)


def pretend(manifest: str, count: str) -> dict[str, float]:
    """Edit the first clips of a manifest in no time; what that takes of the driver."""
    from flowedit.batch.jobs import batch_steps
    from flowedit.batch.manifest import entries_of, read_rows

    base, rows = read_rows(Path(manifest))
    entries, _ = entries_of(base, rows[: int(count)], base / f"out{count}", {"preset": "draft"})
    done = sum(record.state == "done" for record in batch_steps(entries, base / f"out{count}", edit=Pretended()))
    return {"done": done, "processor": time.process_time(), "megabytes": peak_memory_mb()}


def ask() -> dict[str, float]:
    """Milliseconds of the driver to start a worker, to ask one how far it is, and to wait for one of many."""
    import ray

    from flowedit.agent.settings import GeminiSettings
    from flowedit.batch.worker import Worker

    ray.init(address="local", include_dashboard=False, num_cpus=4, object_store_memory=80_000_000, log_to_driver=False)
    begun = time.process_time()
    remote: Any = ray.remote
    actors = [remote(Worker).options(max_concurrency=3).remote(GeminiSettings()) for _ in range(4)]
    ray.get([actor.ready.remote() for actor in actors])
    start, actor, begun = (time.process_time() - begun) / 4, actors[0], time.process_time()
    for _ in range(50):
        ray.get([actor.now.remote() for _ in range(20)])
    poll = time.process_time() - begun
    never = remote(lambda: None).options(resources={"none": 1})
    pending = [never.remote() for _ in range(PENDING)]
    begun = time.process_time()
    for _ in range(100):
        ray.wait(pending, timeout=0, fetch_local=False)
    return {"start_ms": 1000 * start, "poll_ms": poll, "wait_ms": 10 * (time.process_time() - begun)}


def show(manifest: str) -> dict[str, float]:
    """Seconds to read the records of a manifest's clips, and to write the page of them all."""
    from flowedit.batch.index import write_index
    from flowedit.batch.manifest import entries_of, read_rows
    from flowedit.batch.record import read_record

    base, rows = read_rows(Path(manifest))
    entries, _ = entries_of(base, rows, base / f"out{LINES}", {"preset": "draft"})
    begun = time.process_time()
    records = {entry.id: read_record(entry) for entry in entries}
    read = time.process_time()
    write_index(base, entries, records)
    return {"records_s": read - begun, "page_s": time.process_time() - read}


def _bytes(clip: Path, *, single: bool) -> int:
    """Size of what one edit writes, or else of what it reads."""
    files = (path for path in clip.rglob("*") if path.is_file() and ("single" in path.parts) == single)
    return sum(path.stat().st_size for path in files)


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
    """A manifest of as many names of one clip as lines."""
    lines = []
    for i in range(LINES):
        (folder / f"{i}.mp4").hardlink_to(clip / "source.mp4")
        (folder / f"{i}-0.png").hardlink_to(clip / "key-0.png")
        lines.append(json.dumps({"video": f"{i}.mp4", "keyframes": [f"{i}-0.png"]}))
    path = folder / "clips.jsonl"
    path.write_text("\n".join(lines))
    return path


def _row(name: str, commands: Sequence[Sequence[str]], before: BatchRow | None) -> BatchRow:
    """Run commands one after the other; what all their processes took, as seen four times a second, added up."""
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
    others = max(0.0, _busy() - busy - processor)
    found = BatchRow(name=name, seconds=seconds, processor=processor, others=others, megabytes=most[0])
    if before is None:
        return found
    added = {each: getattr(found, each) + getattr(before, each) for each in ("seconds", "processor", "others")}
    return replace(found, **added, megabytes=max(found.megabytes, before.megabytes))


def _busy() -> float:
    return float(sum(getattr(psutil.cpu_times(), name) for name in ("user", "system", "nice")))


def _said(program: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """What a function of this module finds in a process of its own."""
    code = f"import json, sys; from benchmarks import batch; print(json.dumps(batch.{program.__name__}(*sys.argv[1:])))"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(found.stdout.strip().splitlines()[-1])


def read_batch(store: Path) -> dict[str, Any]:
    """A record: its rows by name, what the driver takes, and the machine."""
    held = json.loads(store.read_text(encoding="utf-8"))
    return {**held, "rows": {row["name"]: BatchRow(**row) for row in held["rows"]}}


def to_markdown(held: Mapping[str, Any]) -> str:
    """The rows of a record as a table."""
    heads = ("what", "seconds", "processor seconds", "other programs' meanwhile", "memory of the command, MB")
    figures = ("seconds", "processor", "others", "megabytes")
    lines = [(row.name, *(f"{getattr(row, each):.0f}" for each in figures)) for row in held["rows"].values()]
    return markdown(heads, lines)


def share(held: Mapping[str, Any]) -> float:
    """What a batch takes of the time of the same edits one by one."""
    return held["rows"]["batch"].seconds / held["rows"]["one by one"].seconds


def estimate(held: Mapping[str, Any], gpus: "Record") -> str:
    """What a batch on many nodes would ask of its driver and of the storage, from what was measured, as a table."""
    from benchmarks.gpu_tables import Times  # loads torch, which the driver does without

    driver, cores, film = held["driver"], held["machine"]["cores"], FILM_PIXELS / PIXELS
    kinds = {
        f"{NODES} nodes of {cores} cores, drafts of 33 frames": _asked(driver, cores * NODES, driver["clip_s"], 1.0),
        f"{NODES} nodes of 8 GPUs, 1.3B, 81 frames": _asked(driver, 8 * NODES, Times(gpus)(*EDIT), film),
    }
    rows = [[name, *(kind[name] for kind in kinds.values())] for name in next(iter(kinds.values()))]
    return markdown(
        ("", *kinds), [[name, *(f"{v:,.0f}" if v > 99 else f"{v:.2g}" for v in row)] for name, *row in rows]
    )


def _asked(driver: Mapping[str, float], workers: int, seconds: float, film: float) -> dict[str, float]:
    """What so many workers ask, whose clips take so many seconds and are `film` times as large as those measured."""
    rate = workers / seconds
    # Each clip that ends wakes the driver, which then looks at all workers.
    ends = rate * (driver["clip_ms"] + driver["wait_ms"] * workers / PENDING) / 1000
    polls, page = workers * driver["poll_ms"] / 1000 / POLL_S, driver["page_s"] / INDEX_S
    return {
        "seconds of a worker a clip": seconds,
        "clips a second": rate,
        "cores of the driver: clips that begin and end": ends,
        "cores of the driver: how far they are": polls,
        f"cores of the driver: the page of {LINES} clips": page,
        "nodes that keep one core of the driver busy": NODES / (ends + polls + page),
        "seconds of the driver to start all workers": workers * driver["start_ms"] / 1000,
        "MB/s read from the shared storage": rate * film * driver["read_mb"],
        "MB/s written to it": rate * film * driver["written_mb"],
    }
