"""The nodes of the graph: methods of one run, from the state they read to the part of it that they write."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from langgraph.types import interrupt

from flowedit.agent.cancel import Cancel
from flowedit.agent.card import OFFLINE
from flowedit.agent.colour import Picture
from flowedit.agent.events import EventLog
from flowedit.agent.folder import MANIFEST, RunFolder
from flowedit.agent.parts import OfflineParts
from flowedit.agent.sample import Source, choose_indices, wanted_keyframes
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import AgentState, ApprovalRequest, Decision, Styled, Task
from flowedit.files import write_bytes, write_json
from flowedit.frames import slots_of
from flowedit.media.cuts import find_cuts

Update = dict[str, Any]
"""The entries of `AgentState` that a node writes."""

AT_ONCE = 2
"""Keyframes painted side by side: each needs about 150 MB at 720 lines."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One run: what its nodes work with, and the nodes themselves.

    Attributes:
        painters: bound how many keyframes are painted at once. The graph's own bound would not do: it also delays the
            record of what is finished until the last keyframe has begun, and a killed run would paint them again. A
            semaphore in the graph's threads would not do either: each thread holds on to the memory that it once used,
            1700 MB for ten keyframes of 720 lines instead of 800.
    """

    source: Source
    settings: StyleSettings
    parts: OfflineParts
    folder: RunFolder
    log: EventLog
    cancel: Cancel
    painters: Executor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))

    def sample(self, state: AgentState) -> Update:
        """Read the clip once and find its cuts."""
        del state
        source = self.source
        with self.log.node("sample") as event:
            cuts = find_cuts(self._frames())
            event.values = {"frames": source.num_frames, "fps": source.fps, "start": source.start, "cuts": list(cuts)}
        return {"cuts": cuts}

    def _frames(self) -> Iterator[Picture]:
        for frame in self.source.stream():
            self.cancel.check()
            yield frame

    def select_keyframes(self, state: AgentState) -> Update:
        """Choose the frames to key and keep a picture of each for people and models to look at."""
        total, wanted = self.source.num_frames, wanted_keyframes(self.source, self.settings.target_fps)
        with self.log.node("select_keyframes") as event:
            indices, missed = choose_indices(total, state["cuts"], wanted=wanted, most=self.settings.max_frames)
            sources = {i: self.folder.save(f"sources/{i:04d}.jpg", self.source.frame(i)) for i in indices}
            if missed:
                shots = ", ".join(map(str, missed))
                event.notes.append(f"No keyframe for the shots that start at frame {shots}; allow more keyframes.")
            event.values = {"indices": list(indices), "slots": list(slots_of(indices, total))}
            event.images = list(sources.values())
        return {"indices": indices, "sources": sources}

    def analyze_style(self, state: AgentState) -> Update:
        """Read the style into one card that all keyframes share."""
        with self.log.node("analyze_style", by=OFFLINE) as event:
            card = self.parts.read_style([self.source.frame(index) for index in state["indices"]], event)
            event.values |= {"look": card.look, "title": card.title, "medium": card.medium, "words": list(card.words)}
            event.values["palette"] = [swatch.model_dump() for swatch in (card.reference or card.master).palette]
        return {"card": card}

    def plan(self, state: AgentState) -> Update:
        """Write the prompts, and lay down the one picture that all keyframes are styled after."""
        card, indices = state["card"], state["indices"]
        with self.log.node("plan") as event:
            master = self.parts.master(self.source.frame(indices[len(indices) // 2]), card)
            reference = None if master is None else self.folder.save("reference.png", master)
            plan = self.parts.plan(card, reference)
            event.prompt = plan.video_prompt
            event.images = [] if reference is None else [reference]
        return {"plan": plan}

    def style_keyframe(self, state: Task) -> Update:
        """Paint one keyframe from its source frame and the master; keyframes never see one another."""
        return self.painters.submit(self._painted, state).result()

    def _painted(self, state: Task) -> Update:
        index, attempt, reference = state["index"], state["attempt"], state["plan"].reference
        asked = {
            "attempt": attempt,
            "strength": state["strength"],
            "adjustment": state["adjustment"].model_dump(exclude_defaults=True),
            "asked": [fault.text for fault in state["faults"]],
        }
        with self.cancel.guard(), self.log.node("style_keyframe", index, by=OFFLINE, **asked) as event:
            master = None if reference is None else self.folder.load(reference)
            picture = self.parts.style(self.source.frame(index), master, state, event)
            name = self.folder.save(f"attempts/{index:04d}-{attempt}.png", picture)
            event.images = [name]
        laid = {"strength": state["strength"], "adjustment": state["adjustment"]}
        by, note = event.values["by"], " ".join(event.notes)
        return {"styled": {index: Styled(index=index, attempt=attempt, file=name, by=by, note=note, **laid)}}

    def judge(self, state: AgentState) -> Update:
        """Read all keyframes against their sources and against each other."""
        with self.log.node("judge", by=OFFLINE) as event:
            sources = {index: self.source.frame(index) for index in state["styled"]}
            styled = {index: (done, self.folder.load(done.file)) for index, done in state["styled"].items()}
            verdicts = self.parts.judge(sources, styled, state["card"], event)
            event.values["verdicts"] = [
                {"index": index, "attempt": state["styled"][index].attempt, **verdict.model_dump(mode="json")}
                for index, verdict in verdicts.items()
            ]
        return {"verdicts": verdicts}

    def approve(self, state: AgentState) -> Update:
        """Stop until a person (or `--yes`) has answered."""
        files, rejected = {index: done.file for index, done in state["styled"].items()}, _rejected(state)
        request = ApprovalRequest(files=files, sources=state["sources"], verdicts=state["verdicts"])
        decision = Decision.model_validate(interrupt(request.model_dump(mode="json")))
        with self.log.node("approve") as event:
            event.values = decision.model_dump(mode="json") | {"escalated": rejected}
            event.images = list(files.values())
        return {"decision": decision}

    def export(self, state: AgentState) -> Update:
        """Write the keyframes under their frame numbers, and the manifest that the editor reads."""
        root, source, styled = self.folder.root, self.source, state["styled"]
        with self.log.node("export") as event:
            (root / "keyframes").mkdir(exist_ok=True)
            slots = slots_of(list(styled), source.num_frames)
            rows = [_row(state, done, slot) for done, slot in zip(styled.values(), slots, strict=True)]
            event.images = [row["file"] for row in rows]
            for row in rows:
                self.folder.load(name := styled[row["index"]].file)
                write_bytes(root / row["file"], (root / name).read_bytes())
            manifest = {
                "format": 1,
                "video": source.name,
                "identity": None if source.file is None else source.identity,
                "fps": source.fps,
                "start": source.start,
                "every": source.every,
                "num_frames": source.num_frames,
                "seed": self.settings.seed,
                "prompt": state["plan"].video_prompt,
                "negative_prompt": state["plan"].negative_prompt,
                "style": state["card"].model_dump(mode="json"),
                "keyframes": rows,
            }
            write_json(root / MANIFEST, manifest, indent=1)
            if escalated := _rejected(state):
                shown = ", ".join(map(str, escalated))
                event.notes.append(f"The judge still objects to keyframe {shown}; see the verdicts in {MANIFEST}.")
        return {"exported": True}


def _rejected(state: AgentState) -> list[int]:
    return [index for index, verdict in state["verdicts"].items() if verdict.faults]


def _row(state: AgentState, done: Styled, slot: int) -> dict[str, Any]:
    """What the manifest says of a keyframe."""
    return {
        **done.model_dump(mode="json"),
        "file": f"keyframes/{done.index:04d}.png",
        "source": state["sources"][done.index],
        "adjustment": done.adjustment.model_dump(exclude_defaults=True),
        "verdict": state["verdicts"][done.index].model_dump(mode="json"),
        "slot": slot,
    }
