"""`flowedit style` at the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from agent_clips import static_clip, write_clip
from typer.testing import CliRunner

from flowedit.agent.events import read_record
from flowedit.agent.state import ApprovalRequest, Decision, Fault, Verdict
from flowedit.cli.progress import StyleProgress, show_cost
from flowedit.cli.style import ask, style

app = typer.Typer()
app.command()(style)


@pytest.fixture
def video(tmp_path):
    return write_clip(tmp_path / "clip.mp4", static_clip())


def request_for(*indices):
    verdict = Verdict(structure=1.0, disagreement=0.0, change=9.0)
    files = {index: f"attempts/{index:04d}-0.png" for index in indices}
    return ApprovalRequest(files=files, sources=files, verdicts=dict.fromkeys(indices, verdict))


def test_words_of_others_are_shown_escaped(capsys, monkeypatch):
    """Catches a note, a look's title or a judge's words that move the terminal's cursor, or name its window."""
    code, shown = "a\x1b]0;b\x07", "a\\x1b]0;b\\x07"
    show_cost(SimpleNamespace(notes=(code,), usage=SimpleNamespace(calls=0)))
    progress = StyleProgress()
    progress.bar.disable = False
    values = {"by": code}
    progress.watch(SimpleNamespace(node="analyze_style", keyframe=None, outcome="done", values=values, seconds=1.0))
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "later")
    request = request_for(3)
    fault = Fault(kind="model", text=code)
    ask(
        request.model_copy(update={"verdicts": {3: request.verdicts[3].model_copy(update={"faults": (fault,)})}}),
        Path(),
    )
    printed = "".join(capsys.readouterr())
    assert printed.count(shown) == 3
    assert "\x1b]" not in printed


def test_one_keyframe_is_one_and_nothing_is_drawn_without_a_terminal(tmp_path, video):
    options = ["--style", "Oil", "--frames", "1", "--backend", "offline", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [str(video), *options])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"1 keyframe, frame 0\n{tmp_path / 'out' / 'keyframes'}\n"
    assert done.stderr == ""


def test_options_reach_the_run(tmp_path, video):
    options = ["--max-frames", "2", "--target-fps", "4", "--frames", "9", "--start", "4", "--backend", "offline"]
    words = ["--describe", "old sepia film", "--yes", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [str(video), *words, *options])
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / "keyframes.json").read_text())
    assert manifest["style"]["look"] == "vintage"
    assert (manifest["start"], manifest["num_frames"]) == (4, 9)
    assert [row["index"] for row in manifest["keyframes"]] == [0, 8]


def test_a_person_is_asked_until_the_answer_is_one(monkeypatch, tmp_path, capsys):
    said = iter(["perhaps", "5", "\u00b2", "8", "  ", "too dark"])  # isdigit() holds for the small 2, int() refuses it
    monkeypatch.setattr(typer, "prompt", lambda *words, **options: next(said))
    decision = ask(request_for(0, 8), tmp_path)
    assert decision.redo == {8: "too dark"}
    assert capsys.readouterr().out.count("Answer yes, no, later, or one of 0, 8.") == 3


@pytest.mark.parametrize(
    ("word", "said"), [("YES", Decision(approve=True)), ("n", Decision(approve=False)), ("later", None)]
)
def test_yes_and_no_decide_and_later_leaves_the_run_waiting(monkeypatch, tmp_path, word, said):
    monkeypatch.setattr(typer, "prompt", lambda *words, **options: word)
    assert ask(request_for(0), tmp_path) == said


def test_a_person_answers_at_a_real_terminal(tmp_path, video):
    """Redo one with a reason, put it off, and take them all in a second call that goes on where the first stopped."""
    first = at_a_terminal(video, tmp_path / "out", ["8", "too dark", "later"])
    assert "wait for an answer" in first
    assert first.count("style_keyframe 8 (offline), ") == 2
    assert first.count("sample, ") == 1
    record = read_record(tmp_path / "out")
    assert record.status == "waiting"
    assert [event.values["adjustment"] for event in record.events if event.values.get("attempt") == 1] == [
        {"lightness": 8.0}
    ]
    second = at_a_terminal(video, tmp_path / "out", ["yes"])
    assert "3 keyframes, frames 0, 8, 16" in second
    nodes = [event.node for event in read_record(tmp_path / "out").events]
    assert nodes.count("style_keyframe") == 4


def at_a_terminal(video, folder, answers):
    """What `flowedit style` writes to a terminal on which these lines are typed."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "flowedit", "style", str(video), "--style", "pencil", "--backend", "offline"]
    process = subprocess.Popen([*command, "-o", str(folder)], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    for line in answers:
        os.write(ours, f"{line}\n".encode())
    said = b""
    while chunk := _read(ours):
        said += chunk
    assert process.wait(60) == 0, said.decode()
    os.close(ours)
    return said.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # how a terminal says that nobody writes to it any more
        return b""
