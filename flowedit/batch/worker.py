"""What a worker does with a clip: see whether it is done, edit it where it is not, and write down what became of it."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.batch.manifest import Entry
from flowedit.batch.record import Record, is_done, read_record
from flowedit.errors import OutputError
from flowedit.files import make_folder
from flowedit.media.clip import probe
from flowedit.presets import model_defaults
from flowedit.run.inputs import Inputs, choose_window, read_inputs
from flowedit.run.job import run_edit
from flowedit.run.outputs import Watch, asked_of, following
from flowedit.run.request import EditRequest, styled
from flowedit.runfolder import STATE

if TYPE_CHECKING:
    from flowedit.run.editing import Loaded

LOCK, PAINT_LOCK = ".batch.lock", ".paint.lock"
"""In a clip's folder: one process at a time works in it, and paints in it."""
PATIENCE_S = 60.0
"""How long a GPU that is not free, and a folder that another process holds, are waited for."""
_FULL = "No space left", "quota exceeded"

Edit = Callable[[EditRequest, Watch], object]


class Worker:
    """One process that edits clip after clip with one loaded model.

    Several share each edit where `size` is above 1; the one of rank 0 writes.
    """

    def __init__(self, budget: GeminiSettings, edit: Edit | None = None, *, rank: int = 0, size: int = 1) -> None:
        """Begin with no model; `edit` stands in for the edit with one."""
        self._budget, self._edit, self._rank, self._size = budget, edit or self._edited, rank, size
        self._key: Any = None
        self._loaded: Loaded | None = None
        self._together, self._spread = ExitStack(), None
        self._cancelled, self._note, self._level = False, "", ""
        self._at = Record(id="")

    def ready(self) -> str:
        """The node it runs on, in Ray's name for it."""
        import ray

        return ray.get_runtime_context().get_node_id()

    def now(self) -> Record:
        """How far the clip in hand is."""
        return self._at

    def cancel(self) -> None:
        """End the edit in hand after its step."""
        self._cancelled = True

    def work(self, entry: Entry, retries: int) -> Record:
        """Edit one clip unless it is done or has failed too often; whatever goes wrong is in the record."""
        self._at = Record(id=entry.id, state="running", stage="reading")
        try:
            if self._rank:
                return self._work(entry, retries)
            with FileLock(make_folder(entry.request.output) / LOCK, timeout=PATIENCE_S):
                return self._work(entry, retries)
        except Timeout:
            return Record(id=entry.id, state="quarantined", reason=f"{entry.request.output} is another process's")
        except KeyboardInterrupt:
            stopped = replace(read_record(entry), state="stopped")
            return stopped if self._rank else stopped.kept(entry)
        except Exception as error:
            return self._failed(entry, error, retries)

    def _work(self, entry: Entry, retries: int) -> Record:
        request = entry.request
        if entry.style:
            self._at = replace(self._at, stage="painting keyframes")
            with FileLock(make_folder(request.output) / PAINT_LOCK):  # of several workers the first to come paints them
                request = painted(entry, self._budget)
        before, asked = read_record(entry), asked_of(request)
        kept = before if before.asked == asked else Record(id=entry.id, asked=asked)
        if is_done(request.output, asked):
            return replace(kept, state="skipped")
        if kept.failures > retries:
            return replace(kept, state="quarantined")
        state = request.output / STATE
        request = replace(request, overwrite=True, resume=kept is before and state.is_file())
        if self._rank:
            with following(request) as share:
                self._edit(share, self._watch)
            return self._at
        if kept is not before:
            state.unlink(missing_ok=True)
        node = socket.gethostname()
        kept = replace(kept, state="running", starts=kept.starts + 1, node=node, reason="", cause="").kept(entry)
        begun = time.perf_counter()
        self._edit(request, self._watch)
        seconds = round(time.perf_counter() - begun, 3)
        return replace(kept, state="done", seconds=seconds, reason=self._note, level=self._level).kept(entry)

    def _failed(self, entry: Entry, error: Exception, retries: int) -> Record:
        """The record of a clip after an error; what is for want of memory or disk is no fault of its saved state."""
        cause, kept = _cause(error), replace(read_record(entry), level=self._level)
        reason = " ".join(str(error).split()) or type(error).__name__
        if self._rank or cause == "disk":  # the leader's to write; not the clip's failure, nor to be written down
            return replace(kept, state="failed", cause=cause, reason=reason)
        try:
            if not cause:
                (entry.request.output / STATE).unlink(missing_ok=True)
            return kept.failed(reason, retries, cause).kept(entry)
        except (OSError, OutputError):  # it would be tried for ever
            return replace(kept, state="quarantined", reason=reason)

    def _watch(self, stage: str, done: int, total: int, step: object) -> None:
        del step
        self._at = replace(self._at, stage=stage, done=done, total=total, level=self._level)
        if self._cancelled:
            raise KeyboardInterrupt

    def _edited(self, request: EditRequest, watch: Watch) -> None:
        """The edit, with the model that is loaded, or its own where that is another."""
        if request.settings.classical:
            run_edit(request, watch)
            return
        from flowedit.wan.parallel import together

        if self._size > 1:
            self._spread = self._spread or self._together.enter_context(together())
            request = replace(request, spread=self._spread)
        inputs = read_inputs(request)
        run_edit(request, watch, inputs=inputs, loaded=self._model(request, inputs, watch))

    def _model(self, request: EditRequest, inputs: Inputs, watch: Watch) -> "Loaded":
        """The model that is loaded, or the request's own where that is another or was placed for a smaller clip."""
        from flowedit.run.editing import load_at, placements_of
        from flowedit.wan.placement import free_memory

        key, room = (request.model, request.placement, request.pace, tuple(request.loras)), inputs.frames.size
        fits = self._key and self._key[0] == key and (not self._level or room <= self._key[1])
        if self._loaded is None or not fits:
            self._loaded, self._level = None, ""
            free_memory()
            watch("waiting for the GPU", 0, 0, None)
            self._note = wait_for_gpu()
            placement = placements_of(request, inputs)[0]
            self._level = placement.level if placement else ""
            watch("loading the model", 0, 0, None)
            self._key, self._loaded = (key, room), load_at(placement, request)
        return self._loaded


def budget_of(entries: Sequence[Entry], out: Path, max_usd: float) -> GeminiSettings:
    """What all painting may cost, by whichever worker and on whichever day; its count lies in `out`."""
    calls = GeminiSettings.max_calls * sum(bool(entry.style) for entry in entries)
    return GeminiSettings(max_usd=max_usd, max_calls=calls, answers=out.absolute() / "answers")


def painted(entry: Entry, budget: GeminiSettings) -> EditRequest:
    """The clip's request with keyframes, those painted before where they are of the same clip and style."""
    from flowedit.agent.run import style_or_reuse  # clips with keyframes do without the agent

    request, own = entry.request, entry.request.settings
    total, longest = probe(request.video).num_frames, model_defaults(request.model).window
    taken = choose_window(total, request.start, request.num_frames, longest, request.every)
    style: dict[str, Any] = {**entry.style, "start": taken.start, "every": taken.step, "num_frames": len(taken)}
    settings = StyleSettings(**style, gemini=budget)
    found = styled(style_or_reuse(request.video, settings, request.output / "style", replace=True))
    said = {name: getattr(own, name) or getattr(found["styling"], name) for name in ("prompt", "negative_prompt")}
    return replace(request, settings=own.with_(**said), **found)


def wait_for_gpu(patience: float = PATIENCE_S) -> str:
    """Wait until nobody else, such as an orphan, holds this process's GPU; a sentence where somebody still does."""
    import torch

    end = time.monotonic() + patience
    while torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        if free > 0.9 * total:
            break
        if time.monotonic() > end:
            query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader"]
            listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
            who = "; ".join(line for line in listed if not line.startswith(f"{os.getpid()},")) or "unseen"
            return f"other processes hold {(total - free) / 1e9:.1f} of {total / 1e9:.1f} GB of the GPU ({who})"
        time.sleep(1)
    return ""


def _cause(error: Exception) -> str:
    """What was missing: `memory`, or `disk`; nothing where the clip itself is at fault."""
    if any(words in str(error) for words in _FULL):
        return "disk"
    if isinstance(error, RuntimeError):
        from flowedit.wan.placement import is_out_of_memory  # loads torch, from which it would come

        return "memory" if is_out_of_memory(error) else ""
    return "memory" if isinstance(error, MemoryError) else ""
