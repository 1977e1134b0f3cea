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
from flowedit.batch.cluster import BatchOptions, Room, connected, room_on
from flowedit.batch.index import write_index
from flowedit.batch.manifest import Entry
from flowedit.batch.record import Record, read_record
from flowedit.batch.worker import Edit, Worker, budget_of
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
_Given = tuple[GeminiSettings, Edit | None]
"""What workers are made of."""


def batch_steps(
    entries: Sequence[Entry], out: Path, options: BatchOptions | None = None, edit: Edit | None = None
) -> Generator[Record, None, None]:
    """Edit clips side by side; a record when one begins or ends, and now and then of those at work. Closing ends it.

    Clips that are done are skipped; `out` gets `index.html` and `failures.jsonl`; `edit` stands in for the edit. Errors
    are those of `connected` and `room_on`.
    """
    options = options or BatchOptions()
    budget = budget_of(entries, out, options.max_usd)
    with connected(options.address) as ray:
        records = {entry.id: read_record(entry) for entry in entries}
        batch = _Batch(ray, entries, options, (budget, edit))
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


def lowered(entry: Entry, record: Record) -> Entry:
    """The clip for its next try: one placement lower where memory ran out, if there is one."""
    if record.cause != "memory" or record.level not in LEVELS[:-1]:
        return entry
    return replace(entry, request=replace(entry.request, placement=LEVELS[LEVELS.index(record.level) + 1]))


class _Group:
    """The workers of one edit: one, or one a GPU where several share it; the first leads."""

    def __init__(self, ray: Any, room: Room, given: _Given) -> None:  # noqa: ANN401
        how: dict[str, Any] = {f"num_{name.lower()}s": room.share.get(name, 0) for name in ("CPU", "GPU")}
        how |= {"memory": room.share["memory"], "max_concurrency": 3}  # the edit, and what is asked of it meanwhile
        self._ray, self._place, told = ray, None, _THREADS
        if room.size > 1:
            self._place = ray.util.placement_group([room.share] * room.size, strategy="STRICT_PACK")
            inside = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(self._place)
            how["scheduling_strategy"] = inside
            port = str(random.randint(20_000, 32_000))
            told = {**told, "WORLD_SIZE": str(room.size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        self.actors = []
        for rank in range(room.size):
            how["runtime_env"] = {"env_vars": {**told, "RANK": str(rank)} if room.size > 1 else told}
            self.actors.append(ray.remote(Worker).options(**how).remote(*given, rank=rank, size=room.size))
        self.entry: Entry | None = None  # the clip in hand
        self.before = self.last = Record(id="")  # its record when it was given, and how far it is
        self.node, self.lost = "", 0.0  # where they run; when they are given up, once they are silent
        self.refs = {each.ready.remote(): i for i, each in enumerate(self.actors)}  # what is waited for, if anything

    def begin(self, entry: Entry, retries: int) -> Record:
        """Give it a clip."""
        self.entry, self.before, self.last = entry, read_record(entry), Record(id=entry.id, state="running")
        self.refs = {actor.work.remote(entry, retries): i for i, actor in enumerate(self.actors)}
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

    def __init__(self, ray: Any, entries: Sequence[Entry], options: BatchOptions, given: _Given) -> None:  # noqa: ANN401
        self._ray, self._retries, self._given = ray, options.retries, given
        # Clips of one model one after the other: a worker that changes models loads anew.
        self._waiting = deque(sorted(entries, key=lambda each: (each.request.model, str(each.request.loras))))
        models = {entry.request.model for entry in entries if not entry.request.settings.classical}
        self._room = room_on(ray, models, options)
        self._slots, self._unborn = self._room.slots, 0
        self._groups: list[_Group] = []

    def steps(self) -> Generator[Record, None, None]:
        """Give idle workers clips, hear of those that ended, replace those that died."""
        due = time.monotonic() + POLL_S
        while self._waiting or self._busy():
            while len(self._groups) < min(self._slots, len(self._busy()) + len(self._waiting)):
                self._groups.append(_Group(self._ray, self._room, self._given))
            if self._slots < 1:
                raise OutputError("No worker has room on its disk for results; free some, and repeat the command.")
            for group in self._groups:
                if group.entry is None and not group.refs and self._waiting:
                    yield group.begin(self._waiting.popleft(), self._retries)
            yield from self._news()
            if time.monotonic() >= due:
                yield from self._progress()
                due = time.monotonic() + POLL_S

    def _busy(self) -> list[_Group]:
        return [group for group in self._groups if group.entry is not None]

    def _news(self) -> Generator[Record, None, None]:
        """Workers that are ready, have ended a clip, or have died; waits for one for a while."""
        of = {ref: group for group in self._groups for ref in group.refs}
        ended = self._ray.wait(list(of), timeout=POLL_S, fetch_local=False)[0] if of else time.sleep(POLL_S)
        for ref in ended or ():
            yield from self._heard(of[ref], ref)
        for group in self._busy():
            if group.entry and group.lost and (time.monotonic() > group.lost or not self._alive(group.node)):
                yield self._given_up(group, group.entry, "it is silent")

    def _heard(self, group: _Group, ref: object) -> Generator[Record, None, None]:
        errors, rank, entry = self._ray.exceptions, group.refs.pop(ref), group.entry
        try:
            found = self._ray.get(ref)
        except errors.RayError as error:
            said = str(error).strip().splitlines()
            if entry is None:
                self._drop(group)
                self._unborn += 1
                if getattr(error, "actor_init_failed", False) or self._unborn >= _UNBORN:
                    raise ModelError(f"A worker does not start: {said[-1]}") from None
            elif isinstance(error, errors.ActorUnavailableError):
                group.refs, group.lost = {}, time.monotonic() + _GONE_S
            else:
                cause = "memory" if isinstance(error, errors.OutOfMemoryError) else ""
                yield self._given_up(group, entry, said[0], cause)
            return
        self._unborn = 0
        if entry is None:
            group.node = found
        elif rank and found.state == "failed" and group.last.state == "running":  # the leader waits for it in vain
            group.last = found
            yield self._given_up(group, entry)
        else:
            group.last = group.last if rank else found
            if group.last.state != "running" and not (group.refs and group.last.state in ("done", "skipped")):
                group.entry = None
                if group.refs or group.last.cause:  # memory that is in pieces is whole in a fresh process
                    self._drop(group)
                yield self._settled(entry, group.last)

    def _alive(self, node: str) -> bool:
        return any(each["Alive"] and each["NodeID"] == node for each in self._ray.nodes())

    def _given_up(self, group: _Group, entry: Entry, said: str = "", cause: str = "") -> Record:
        """The record of a clip whose worker is gone: its own failure, unless the whole node went."""
        self._drop(group)
        last, kept = group.last, read_record(entry)
        if kept.state == "stopped" or kept == group.before:  # else the worker had written what became of the clip
            reason, cause = last.reason or f"its process died at: {last.stage or 'start'} ({said})", last.cause or cause
            kept, gone = replace(kept, level=last.level), not self._alive(group.node)
            away = replace(kept, state="failed", reason=f"its node {kept.node} went away")
            kept = (away if gone else kept.failed(reason, self._retries, cause)).kept(entry)
        return self._settled(entry, kept)

    def _settled(self, entry: Entry, record: Record) -> Record:
        """A clip that failed waits for its next turn; a worker whose disk is full gets no other."""
        self._slots -= record.cause == "disk"
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
                if record.id == group.last.id and group.last.state == "running" and record != group.last:
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
