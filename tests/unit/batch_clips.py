"""Clips for tests of the batch, and edits that stand in for those with a model, in workers of their own."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import numpy as np

from flowedit.batch.manifest import entries_of, read_rows
from flowedit.files import unwritten, write_json
from flowedit.media.clip import write_image, write_video
from flowedit.run.outputs import asked_of


def make_clips(folder: Path, count: int, frames: int = 9) -> Path:
    """`count` clips of 64x64 with a keyframe each, and a manifest of them."""
    lines = []
    for i in range(count):
        small = np.random.default_rng(i).integers(0, 256, (frames, 8, 8, 3), dtype=np.uint8)
        clip = np.kron(small, np.ones((1, 8, 8, 1), np.uint8))
        write_video(folder / f"c{i}.mp4", clip, 8)
        write_image(folder / f"c{i}-key-0.png", 255 - clip[0])
        lines.append(json.dumps({"video": f"c{i}.mp4", "keyframes": [f"c{i}-key-0.png"], "size": "64x64"}))
    path = folder / "clips.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def entries_in(manifest: Path, out: Path, **common):
    entries, faults = entries_of(*read_rows(manifest), out, {"preset": "draft", **common})
    assert not faults
    return entries


class Pretended:
    """An edit in a worker that leaves `run.json`, once `hold` is gone; `faults` has what a clip's n-th start meets.

    Every start and end is noted in `starts.txt`, beside the clips' folders: what really happened, for comparison.
    """

    def __init__(self, faults=None, seconds=0.05):
        self._faults, self._seconds = faults or {}, seconds

    def __call__(self, request, watch):
        folder, name = request.output, request.output.name
        log = folder.parent / "starts.txt"
        start = (log.read_text() if log.exists() else "").split().count(name) + 1
        with log.open("a") as file:
            file.write(f"{name}\n")
        fault = self._faults.get((name, start)) or self._faults.get((name, "always"))
        for step in range(4):
            watch("denoising", step, 4, None)
            time.sleep(self._seconds / 4)
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        while fault == "deaf":
            time.sleep(0.05)
        while fault == "hang" or (folder.parent / "hold").exists():
            watch("denoising", 4, 4, None)
            time.sleep(0.05)
        if fault == "memory":
            raise MemoryError("out of memory")
        if fault == "disk":
            raise unwritten(folder / "edited.mp4", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if fault:
            raise ValueError(fault)
        leave_run(request)


def leave_run(request):
    """What a run leaves, as far as the batch looks at it."""
    (request.output / "edited.mp4").write_bytes(b"edited")
    write_json(request.output / "run.json", {"asked": asked_of(request)})
