"""Clips for tests of the batch, and edits that stand in for those with a model, in workers of their own."""

import ctypes
import json
import os
import signal
import time
from pathlib import Path

import numpy as np

from flowedit.batch.manifest import entries_of, read_rows
from flowedit.batch.worker import Worker
from flowedit.files import write_json
from flowedit.media import footage
from flowedit.media.clip import read_video, write_image, write_video
from flowedit.run.outputs import asked_of
from flowedit.wan.placement import Needs, Placement


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
    """The clips of a manifest; those of its videos, to be painted, where a style is common."""
    base, rows = read_rows(manifest)
    if "style" in common:
        rows = [(number, {**json.loads(row), "keyframes": None, **common}) for number, row in rows]
    entries, faults = entries_of(base, rows, out, {"preset": "draft", **common})
    assert not faults
    return entries


class Pretended:
    """An edit in a worker that leaves `run.json`, once `hold` is gone; `faults` has what a clip's n-th start meets.

    Every start is noted in `starts.txt`, beside the clips' folders, with process and placement: what really happened.
    """

    def __init__(self, faults=None, seconds=0.05):
        self._faults, self._seconds = faults or {}, seconds

    def __call__(self, request, watch):
        folder, name = request.output, request.output.name
        start = note(folder.parent / "starts.txt", name, os.getpid(), request.placement)
        fault = self._faults.get((name, start)) or self._faults.get((name, "always"))
        for step in range(4):
            watch("denoising", step, 4, None)
            time.sleep(self._seconds / 4)
        while fault == "deaf":
            time.sleep(0.05)
        while fault == "hang" or (folder.parent / "hold").exists():
            watch("denoising", 4, 4, None)
            time.sleep(0.05)
        if fault:
            self._meet(fault, request, watch)
        (folder / "edited.mp4").write_bytes(b"edited")
        write_json(folder / "run.json", {"asked": asked_of(request)})

    def _meet(self, fault, request, watch):
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "crash":
            footage._decoded = lambda *_: ctypes.string_at(0)
            read_video(request.video)
        if fault == "memory":
            watch.__self__._level = "resident"
            raise MemoryError("out of memory")
        if fault == "disk":
            (request.output / f".edited.{os.getpid()}.part.mp4").symlink_to("/dev/full")
            write_video(request.output / "edited.mp4", np.zeros((9, 64, 64, 3), np.uint8), 8)
        raise ValueError(fault)


class Sharing(Worker):
    """A worker whose model asks its whole group at every forward; the second's has no memory at the first level."""

    def __init__(self, *given, **how):
        super().__init__(*given, **how)
        from flowedit.agent import run
        from flowedit.run import editing

        def styled(video, settings, folder, **more):
            note(folder.parents[1] / "painted.txt", folder.parent.name)
            return style(video, settings, folder, **more)

        style, run.style_video = run.style_video, styled
        editing.placements, editing.load_at = placed, self._load

    def _load(self, placement, request):
        import torch
        from oracles import Curved

        class Asking(Curved):
            def velocity(self, *given):
                torch.distributed.all_reduce(torch.zeros(1))
                return super().velocity(*given)

        if self._rank and placement.level == "resident":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return named(Asking()), "pace plain"


def placed(name, level, **_):
    """One placement: where it is asked for, or else resident."""
    needs = Needs(gpu=0, host=0)
    return [Placement(level=level.replace("auto", "resident"), device="cpu", dtype_name="float32", needs=needs)]


def named(model):
    model.name = "tiny"
    return model


def note(path, name, *more):
    """Note a line of a name, and say how many there are."""
    with path.open("a") as file:
        print(name, *more, file=file)
    return [line.split()[0] for line in path.read_text().splitlines()].count(name)
