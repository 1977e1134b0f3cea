"""`python -m benchmarks batch --gpus 2`: a batch of a real model's edits on several GPUs, and the same on one of them.

Weights are random, at their full size and in the official layout; each worker loads them as it would the real ones.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from platformdirs import user_cache_path
from safetensors.torch import save_file

from benchmarks.gpu import FULL, Bench
from benchmarks.synthetic import TEXT_TOKENS, TEXT_WIDTH, drawn_clip, synthetic_pipeline
from benchmarks.table import markdown
from flowedit.environment import machine, versions
from flowedit.errors import SettingError
from flowedit.files import make_folder, write_json
from flowedit.media.clip import write_image, write_video
from flowedit.model import ClipShape
from flowedit.wan import vendor
from flowedit.wan.checkpoints import TEXT, Part, resolve
from flowedit.wan.encodings import EncodingCache
from flowedit.wan.files import BASE_PATH_VARIABLE

NAME, CLIPS = "Wan2.1-T2V-1.3B", 8
SETTINGS = {"method": "coupled", "conditioning": "tokens", "steps": "8", "cfg": "1"}
_PROMPTS = "a", "b"


@dataclass(frozen=True, kw_only=True)
class GpuRow:
    """One batch.

    Attributes:
        name: where its edits ran.
        workers: edits at once.
        cores: of the machine's processors.
        seconds: of the whole command.
        ends: seconds from its start to the end of each clip, in order.
    """

    name: str
    workers: int
    cores: int
    seconds: float
    ends: Sequence[float]

    @property
    def first(self) -> float:
        """Seconds until every worker has ended a clip: what starting, loading and compiling take is in it."""
        return self.ends[self.workers - 1]

    @property
    def pace(self) -> float:
        """Seconds a clip from then on."""
        return (self.ends[-1] - self.first) / (len(self.ends) - self.workers)


def measure_gpus(store: Path, gpus: int) -> Iterator[str]:
    """Run one batch on all GPUs, on one of them, and with all of them at each edit; what the record has is kept.

    Workers have the same share of the processor cores in each. What is compiled on the way lies on the disk from the
    first of these batches on, which is no help to it.

    Raises:
        SettingError: the machine has fewer.
    """
    if torch.cuda.device_count() < gpus or gpus < 2:
        raise SettingError(f"--gpus is {gpus}, and there are {torch.cuda.device_count()} GPUs here. Use 2 or more.")
    held = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    about = {"machine": machine(), "versions": versions()}
    rows = read_gpus(store) if held.get("gpus", {}).items() >= about.items() else {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # its GPU memory goes with it
            pool.submit(lay_out, folder).result()
        whole = drawn_manifest(folder / "clips", CLIPS)
        half = whole.with_name("half.jsonl")
        half.write_text("\n".join(whole.read_text().splitlines()[: CLIPS // 2]))
        options = ["--cpus-per-edit", str((os.cpu_count() or gpus) // gpus), "--model", NAME]
        options += [word for each, value in SETTINGS.items() for word in (f"--{each}", value)]
        options += ["--prompt", _PROMPTS[0], "--negative-prompt", _PROMPTS[1]]
        for title, manifest, used, each in (
            (f"{gpus} GPUs", whole, gpus, 1),
            ("1 GPU", whole, 1, 1),
            (f"{gpus} GPUs an edit", half, gpus, gpus),
        ):
            if title in rows:
                continue
            seen = {**variables(folder), "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(used)))}
            command = [str(manifest), "-o", str(folder / title), "--gpus-per-edit", str(each), *options]
            rows[title] = row = timed_batch(title, used // each, command, seen)
            found = {**about, "rows": [asdict(row) for row in rows.values()]}
            write_json(store, {**held, "gpus": found}, indent=1)
            yield f"{title}: {row.seconds:.1f} s, {row.pace:.2f} s a clip after {row.first:.1f} s"


def timed_batch(name: str, workers: int, command: Sequence[str], seen: dict[str, str]) -> GpuRow:
    """Run `flowedit batch`, and note when each of its clips ends."""
    begun, ends = time.perf_counter(), list[float]()
    with subprocess.Popen(
        [sys.executable, "-m", "flowedit", "batch", *command, "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, **seen},
    ) as process:
        assert process.stdout is not None  # noqa: S101
        for line in process.stdout:
            if json.loads(line)["state"] == "done":
                ends.append(round(time.perf_counter() - begun, 2))
    assert process.returncode == 0, f"{name} ended with status {process.returncode}"  # noqa: S101
    seconds = round(time.perf_counter() - begun, 2)
    return GpuRow(name=name, workers=workers, cores=os.cpu_count() or 0, seconds=seconds, ends=ends)


def variables(folder: Path) -> dict[str, str]:
    """Environment variables by which the files of `lay_out` are found."""
    return {BASE_PATH_VARIABLE: str(folder / "models"), "XDG_CACHE_HOME": str(folder / "cache")}


def lay_out(folder: Path) -> None:
    """Write a checkpoint of random weights, its text encoder as a hole that nobody reads, and what that would say."""
    os.environ |= variables(folder)
    entry = resolve(NAME)
    pipe: Any = synthetic_pipeline(Bench(entry))
    for part, state in ((entry.part("dit"), pipe.dit.state_dict()), (entry.part("vae"), pipe.vae.model.state_dict())):
        save_file({name: value.contiguous() for name, value in state.items()}, _path(folder, part))
    (kind,) = {config["model_class"] for config in vendor.MODEL_CONFIGS if config["model_hash"] == TEXT.hash}
    module, name = kind.rsplit(".", 1)
    with torch.device("meta"):
        encoder = getattr(import_module(module), name)()
    _write_hole(_path(folder, TEXT), {name: list(value.shape) for name, value in encoder.state_dict().items()})
    cache = EncodingCache(user_cache_path("flowedit") / "encodings")
    for prompt in _PROMPTS:
        cache.get(("text", TEXT.hash, prompt, "bfloat16"), lambda: torch.randn(1, TEXT_TOKENS, TEXT_WIDTH).bfloat16())


def _path(folder: Path, part: Part) -> Path:
    repository, pattern = part.modelscope
    path = folder / "models" / repository / pattern.replace("*", "")
    return make_folder(path.parent) / path.name


def _write_hole(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file with a true header and a body of zeros that takes no room."""
    header, end = dict[str, Any](), 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def drawn_manifest(folder: Path, count: int, shape: ClipShape = FULL) -> Path:
    """A manifest of so many clips of moving bands, no two the same, with five keyframes each."""
    clip, keyframes = drawn_clip(shape)
    place, lines = make_folder(folder), list[str]()
    for i in range(count):
        write_video(place / f"{i}.mp4", np.roll(clip, 16 * i, axis=2), 16)
        for key in keyframes:
            write_image(place / f"{i}-{key.index}.png", np.roll(key.image, 16 * i, axis=1))
        names = {key.index: f"{i}-{key.index}.png" for key in keyframes}
        lines.append(json.dumps({"video": f"{i}.mp4", "keyframes": names}))
    path = place / "clips.jsonl"
    path.write_text("\n".join(lines))
    return path


def read_gpus(store: Path) -> dict[str, GpuRow]:
    """The rows of a record by name."""
    return {row["name"]: GpuRow(**row) for row in json.loads(store.read_text(encoding="utf-8"))["gpus"]["rows"]}


def gpus_table(rows: dict[str, GpuRow]) -> str:
    """How long each batch took, and its clips against those on one GPU."""
    head = (
        "where",
        "cores of the machine",
        "clips",
        "whole command",
        "until each worker ended one",
        "a clip from then on",
        "as fast as one GPU",
    )
    one = rows["1 GPU"].pace
    return markdown(
        head,
        [
            (
                row.name,
                row.cores,
                len(row.ends),
                f"{row.seconds:.0f} s",
                f"{row.first:.0f} s",
                f"{row.pace:.2f} s",
                f"{one / row.pace:.2f} times",
            )
            for row in rows.values()
        ],
    )
