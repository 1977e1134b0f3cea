"""The batch on Ray: one worker a slot, clip after clip, whatever dies."""

import random
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowedit.agent.settings import GeminiSettings
from flowedit.batch.cluster import Room, connected, room_on
from flowedit.batch.index import write_index
from flowedit.batch.manifest import Entry
from flowedit.batch.options import BatchOptions
from flowedit.batch.painting import Painter
from flowedit.batch.record import Record, read_record
from flowedit.batch.worker import Edit, Worker
from flowedit.errors import ModelError, OutputError
from flowedit.wan.placement import LEVELS

LEAVE_S, POLL_S, INDEX_S = 4.0, 1.0, 60.0
"""How long workers may take to end their step when the batch is stopped; how often they are asked how far they are; how
often the page of all clips is written while the batch runs."""
_GONE_S = 40.0
"""How long Ray takes to notice that a node is gone, which its workers' silence comes before."""
_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""As at the command line, whose results are to come out."""
_UNBORN = 3
"""Workers in a row that die before they are ready, after which something is wrong with all."""


def batch_steps(
    entries: Sequence[Entry], out: Path, options: BatchOptions | None = None, edit: Edit | None = None
) -> Generator[Record, None, None]:
    """Edit clips side by side; a record when one begins or ends, and each second of those at work. Closing ends it.

    Args:
        entries: the clips; those that are done already are skipped.
        out: gets `index.html` and `failures.jsonl`.
        options: where and how.
        edit: stands in for the edit.

    Raises:
        ModelError: Ray is not installed, or does not start.
        SettingError: no such cluster, or no node with room for one edit.
    """
    options = options or BatchOptions()
    with connected(options.address) as ray:
        records = {entry.id: read_record(entry) for entry in entries}
        batch = _Batch(ray, entries, options, (painter_of(entries, out, options), edit))
        due = time.monotonic()
        try:
            for record in batch.steps():
                records[record.id] = record
                if time.monotonic() >= due:
                    write_index(out, entries, records)
                    due = time.monotonic() + INDEX_S
                yield record
        finally:
            batch.stop()
            unfinished = (entry for entry in entries if records[entry.id].state == "running")
            write_index(out, entries, records | {entry.id: read_record(entry) for entry in unfinished})


def painter_of(entries: Sequence[Entry], out: Path, options: BatchOptions) -> Painter:
    """Who paints keyframes where a line asks for it."""
    calls = GeminiSettings.max_calls * sum(bool(entry.style) for entry in entries)
    return Painter(out.absolute() / "answers", options.max_usd, calls)


def lowered(entry: Entry, record: Record) -> Entry:
    """The clip for its next try: one placement lower where memory ran out, if there is one."""
    if record.cause != "memory" or record.level not in LEVELS[:-1]:
        return entry
    return replace(entry, request=replace(entry.request, placement=LEVELS[LEVELS.index(record.level) + 1]))


class _Group:
    """The workers of one edit: one, or one a GPU where several share it; `refs` is what is waited for."""

    def __init__(self, ray: Any, room: Room, given: tuple[Painter, Edit | None]) -> None:  # noqa: ANN401
        size = max(1, room.gpus)
        share: dict[str, Any] = {"num_cpus": room.cpus, "num_gpus": min(1, room.gpus), "memory": room.memory}
        actor = ray.remote(Worker)
        self._ray, self._place, port = ray, None, random.randint(20_000, 32_000)
        if size > 1:
            bundle = {"CPU": room.cpus, "GPU": 1, "memory": room.memory}
            self._place = ray.util.placement_group([bundle] * size, strategy="STRICT_PACK")
            inside = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(self._place)
            share["scheduling_strategy"] = inside
        self.actors = []
        for rank in range(size):
            names = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            told = {name: str(value) for name, value in names.items()} if size > 1 else {}
            share["runtime_env"] = {"env_vars": {**_THREADS, **told}}
            # A thread for the edit, and others for what is asked of it meanwhile.
            self.actors.append(actor.options(max_concurrency=3, **share).remote(*given, rank=rank, size=size))
        self.entry: Entry | None = None
        self.node, self.last = "", Record(id="")
        self.refs = [each.ready.remote() for each in self.actors]

    def begin(self, entry: Entry, retries: int) -> Record:
        """Give it a clip."""
        self.entry, self.last = entry, Record(id=entry.id, state="running")
        self.refs = [actor.work.remote(entry, retries) for actor in self.actors]
        return self.last

    def end(self) -> None:
        """Kill its processes, whatever they do."""
        for actor in self.actors:
            with suppress(Exception):  # gone already
                self._ray.kill(actor)
        if self._place is not None:
            self._ray.util.remove_placement_group(self._place)


class _Batch:
    """One batch at work."""

    def __init__(
        self,
        ray: Any,  # noqa: ANN401
        entries: Sequence[Entry],
        options: BatchOptions,
        given: tuple[Painter, Edit | None],
    ) -> None:
        self._ray, self._retries, self._given = ray, options.retries, given
        # Clips of one model one after the other: a worker that changes models loads anew.
        self._waiting = deque(sorted(entries, key=lambda each: (each.request.model, str(each.request.loras))))
        models = {entry.request.model for entry in entries if not entry.request.settings.classical}
        self._room = room_on(ray, models, options)
        self._slots, self._unborn = self._room.slots, 0
        self._groups: list[_Group] = []
        self._silent: list[tuple[float, _Group, Entry, Exception]] = []

    def steps(self) -> Generator[Record, None, None]:
        """Give idle workers clips, hear of those that ended, replace those that died."""
        asked = time.monotonic()
        while self._waiting or self._busy() or self._silent:
            while len(self._groups) < min(self._slots, len(self._busy()) + len(self._waiting)):
                self._groups.append(_Group(self._ray, self._room, self._given))
            if self._slots < 1:
                raise OutputError("No worker has room on its disk for results; free some, and repeat the command.")
            for group in self._groups:
                if not group.refs and self._waiting:
                    yield group.begin(self._waiting.popleft(), self._retries)
            of = {ref: group for group in self._groups for ref in group.refs}
            ended = self._ray.wait(list(of), timeout=POLL_S, fetch_local=False)[0] if of else time.sleep(POLL_S)
            for group in {of[ref] for ref in ended or ()}:
                yield from self._heard(group)
            yield from self._given_up()
            if time.monotonic() >= asked + POLL_S:
                yield from self._progress()
                asked = time.monotonic()

    def _busy(self) -> list[_Group]:
        return [group for group in self._groups if group.entry is not None]

    def _heard(self, group: _Group) -> Generator[Record, None, None]:
        """A worker that is ready, has ended a clip, or has died."""
        entry = group.entry
        try:
            found = self._ray.get(group.refs, timeout=None if len(group.refs) == 1 else 60)
        except self._ray.exceptions.RayError as error:
            self._drop(group)
            self._unborn += entry is None
            if entry is not None and isinstance(error, self._ray.exceptions.ActorUnavailableError):
                self._silent.append((time.monotonic() + _GONE_S, group, entry, error))
            elif entry is not None:
                yield self._settled(entry, self._died(group, entry, error))
            elif getattr(error, "actor_init_failed", False) or self._unborn >= _UNBORN:
                raise ModelError(f"A worker does not start: {str(error).splitlines()[-1]}") from None
            return
        group.refs, group.entry, self._unborn = [], None, 0
        if entry is None:
            group.node = found[0]
            return
        if found[0].cause:  # memory that is in pieces is whole in a fresh process; a full disk is left alone
            self._drop(group)
            self._slots -= found[0].cause == "disk"
        yield self._settled(entry, found[0])

    def _given_up(self) -> Generator[Record, None, None]:
        """Clips whose worker fell silent, once it is known whether its node did too."""
        for silent in list(self._silent):
            until, group, entry, error = silent
            if time.monotonic() > until or not self._alive(group.node):
                self._silent.remove(silent)
                yield self._settled(entry, self._died(group, entry, error))

    def _alive(self, node: str) -> bool:
        return any(each["Alive"] and each["NodeID"] == node for each in self._ray.nodes())

    def _died(self, group: _Group, entry: Entry, error: Exception) -> Record:
        """The record of a clip whose worker is gone: its own failure, unless the whole node went."""
        kept = replace(read_record(entry), level=group.last.level)
        if not self._alive(group.node):
            return replace(kept, state="failed", reason=f"its node {kept.node} went away").kept(entry)
        cause = "memory" if isinstance(error, self._ray.exceptions.OutOfMemoryError) else ""
        reason = f"its process died at: {group.last.stage or 'start'} ({str(error).strip().splitlines()[0]})"
        return kept.failed(reason, self._retries, cause).kept(entry)

    def _settled(self, entry: Entry, record: Record) -> Record:
        """A clip that failed waits for its next turn."""
        if record.state == "failed":
            self._waiting.append(lowered(entry, record))
        return record

    def _drop(self, group: _Group) -> None:
        group.end()
        self._groups.remove(group)

    def _progress(self) -> Generator[Record, None, None]:
        """How far the clips in hand are; a worker that does not answer is heard of elsewhere."""
        asked = {group.actors[0].now.remote(): group for group in self._busy()}
        answered = self._ray.wait(list(asked), num_returns=len(asked), timeout=POLL_S)[0] if asked else []
        for ref in answered:
            with suppress(self._ray.exceptions.RayError):
                group, record = asked[ref], self._ray.get(ref)
                if record.id == group.last.id:
                    group.last = record
                    yield record

    def stop(self) -> None:
        """End what is under way after its step, and kill what does not end."""
        for actor in (actor for group in self._busy() for actor in group.actors):
            actor.cancel.remote()
        if refs := [ref for group in self._busy() for ref in group.refs]:
            self._ray.wait(refs, num_returns=len(refs), timeout=LEAVE_S, fetch_local=False)
        for group in self._groups:
            group.end()
