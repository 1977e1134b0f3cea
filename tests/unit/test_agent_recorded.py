"""A whole run on answers that were recorded, with no server and no network.

The answers in `recorded/` were given by the local server of these tests, in the shapes that the API documents. With
`FLOWEDIT_RECORD` set they are recorded anew; if `GOOGLE_API_KEY` is set too, by the service itself.
"""

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from agent_server import KEY, serving

from flowedit.agent.events import read_record
from flowedit.agent.folder import opened_record
from flowedit.agent.run import style_video
from flowedit.agent.sample import frames_source
from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.media.images import write_image

RECORDED = Path(__file__).parent / "recorded"
REAL = os.environ.get("GOOGLE_API_KEY")
"""The developer's own key, which no other test finds."""


def source():
    """Five frames in whole numbers only, so that they are the same on every machine."""
    rows, columns = np.mgrid[:96, :160]
    frames = [
        np.stack([(rows * 2 + k) % 256, (columns + 8 * k) % 256, (rows // 16 + columns // 16) % 2 * 180], axis=2)
        for k in range(5)
    ]
    return frames_source(np.stack(frames).astype(np.uint8), name="numbers")


def style(folder, url, monkeypatch, key=KEY):
    folder.parent.mkdir(exist_ok=True)
    reference = folder.parent / "reference.png"
    rows, columns = np.mgrid[:64, :64]
    write_image(reference, np.stack([rows * 4, columns * 4, 255 - rows * 4], axis=2).astype(np.uint8))
    gemini = GeminiSettings(base_url=url, attempts=1)
    settings = StyleSettings(describe="ink wash", style_image=reference, target_fps=12, redo=0, gemini=gemini)
    monkeypatch.setenv("GOOGLE_API_KEY", key)
    return style_video(source(), settings, folder)


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """The recorded answers, laid into the folder of a run that has not begun."""
    if "FLOWEDIT_RECORD" in os.environ:
        with serving() if REAL is None else nullcontext() as server:
            style(tmp_path / "recording" / "run", None if server is None else server.url, monkeypatch, REAL or KEY)
        shutil.rmtree(RECORDED, ignore_errors=True)
        shutil.copytree(tmp_path / "recording" / "run" / "answers", RECORDED)
    return sorted(RECORDED.glob("*.json"))


def test_recorded_answers_replay_a_whole_run_without_a_server(tmp_path, answers, monkeypatch):
    """Catches a request that changed: its answer is then not found, and nobody answers at that address."""

    def with_answers(root, *given):
        record = opened_record(root, *given)
        (root / "answers").mkdir()
        for file in answers:
            shutil.copy(file, root / "answers")
        return record

    monkeypatch.setattr("flowedit.agent.run.opened_record", with_answers)
    result = style(tmp_path / "run", "http://127.0.0.1:9", monkeypatch)
    assert result.status == "done"
    assert not any("offline" in note or "reached" in note for note in result.notes)
    assert [row["by"] for row in result.metadata["keyframes"]] == ["gemini-3.1-flash-image"] * 2
    assert {row["verdict"]["by"] for row in result.metadata["keyframes"]} == {"gemini-3.8-flash"}
    assert result.metadata["style"]["analysed_by"] == "gemini-3.8-flash"
    assert result.usage.calls == len(answers) == 4
    assert result.usage.usd > 0.1
    assert all(event.outcome == "done" for event in read_record(tmp_path / "run").events)
