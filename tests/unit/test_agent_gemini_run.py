"""Runs with Gemini behind a local server: the key in no artefact, faults that lose nothing, budgets that are kept."""

import json
import re
import sys
import types

import numpy as np
import pytest
from agent_clips import static_source
from agent_server import (
    KEY,
    READING,
    blocked_body,
    error,
    good,
    image_body,
    is_drawing,
    prompt_of,
    sent_pictures,
    serving,
    text_body,
)

from flowedit.agent.events import read_record
from flowedit.agent.run import leave_waiting, style_video
from flowedit.agent.settings import GeminiSettings, StyleSettings, find_key
from flowedit.errors import AgentError, OutputError

PICTURE_USD = 0.07 + 1290 * 3.75 / 1e6
"""A picture and its tokens, by the prices in `GeminiSettings`."""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)


def settings(server, **options):
    chosen = {name: options.pop(name) for name in ("describe", "redo", "backend") if name in options}
    gemini = GeminiSettings(base_url=server.url, attempts=2, backoff_s=0.01, timeout_s=30, **options)
    return StyleSettings(style=None if "describe" in chosen else "oil", **chosen, gemini=gemini)


def run(server, folder, **options):
    return style_video(static_source(), settings(server, **options), folder)


def test_the_same_graph_runs_with_gemini(tmp_path):
    with serving() as server:
        result = run(server, tmp_path / "run")
    assert result.status == "done"
    assert result.metadata["style"]["analysed_by"] == "gemini-3.8-flash"
    assert result.metadata["style"]["title"] == READING["title"]
    assert {row["by"] for row in result.metadata["keyframes"]} == {"gemini-3.1-flash-image"}
    assert {row["verdict"]["by"] for row in result.metadata["keyframes"]} == {"gemini-3.8-flash"}
    assert server.calls == result.usage.calls == 1 + 3 + 1
    assert result.usage.usd == pytest.approx(3 * PICTURE_USD, abs=0.01)
    assert result.notes == ()
    assert all("Ink wash" in e.prompt for e in read_record(tmp_path / "run").events if e.node == "style_keyframe")
    drawn = [sent_pictures(request) for _, request in server.requests if is_drawing(request)]
    assert [len(pictures) for pictures in drawn] == [2, 2, 2]  # its own frame, and one shared reference
    assert all(np.array_equal(pictures[1], drawn[0][1]) for pictures in drawn)
    assert not np.array_equal(drawn[0][0], drawn[1][0])


def test_the_key_is_in_no_artefact_of_a_run(tmp_path, capfd):
    def leaky(request):
        if is_drawing(request) and len(seen) < 2:
            seen.append(1)
            return error(400, f"request with key {KEY} refused")
        if not is_drawing(request) and "pairs" not in prompt_of(request):
            return 200, text_body(json.dumps(READING | {"title": f"Ink {KEY}"}))
        return good(request)

    seen = []
    with serving(leaky) as server:
        result = run(server, tmp_path / "run", describe="ink wash")
    assert server.calls >= 5
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"agent.json", "keyframes.json", "checkpoint.sqlite"} <= {path.name for path in files}
    leaks = [path.name for path in files if KEY.encode() in path.read_bytes()]
    assert leaks == []
    assert KEY not in "".join(capfd.readouterr()) + repr(result)


FAULTS = {
    "wrong key": (error(401, "bad key"), "was refused"),
    "blocked": ((200, blocked_body()), "blocked the request"),
    "wrong shape": ((200, image_body(np.zeros((90, 30, 3), np.uint8))), "does not fit"),
    "hangs up": ((200, None), "did not answer after 2 tries"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_drawing_costs_one_keyframe_its_model_and_nothing_else(tmp_path, fault, monkeypatch):
    """The keyframe is painted offline, with the fact recorded; the ones that were drawn stay."""
    monkeypatch.setattr("flowedit.agent.nodes.AT_ONCE", 1)
    answer, message = FAULTS[fault]
    drawn = []

    def respond(request):
        if is_drawing(request):
            drawn.append(1)
        return answer if is_drawing(request) and len(drawn) > 1 else good(request)

    with serving(respond) as server:
        result = run(server, tmp_path / "run", redo=0)
    rows = result.metadata["keyframes"]
    assert result.status == "done"
    # Which of the three is asked for first is up to the threads.
    assert sorted(row["by"] for row in rows) == ["gemini-3.1-flash-image", "offline", "offline"]
    for note in (row["note"] for row in rows if row["by"] == "offline"):
        assert message in note
        assert ("the rest of the run is done offline." if fault == "wrong key" else "painted offline") in note
    # A lasting fault is one sentence for all keyframes and for the judge.
    assert sum(message in note for note in result.notes) == 1


@pytest.mark.parametrize(
    ("judging", "body", "message"),
    [
        (False, text_body("{}"), "malformed data .* read offline"),
        (False, blocked_body(), "blocked the request .* read offline"),
        (True, text_body('{"keyframes": []}'), "judged 0 of 3 keyframes"),
    ],
)
def test_a_style_or_an_opinion_that_cannot_be_read_is_measured(tmp_path, judging, body, message):
    def respond(request):
        asked = not is_drawing(request) and ("pairs" in prompt_of(request)) == judging
        return (200, body) if asked else good(request)

    with serving(respond) as server:
        result = run(server, tmp_path / "run")
    made = result.metadata
    assert {row["verdict"]["by"] for row in made["keyframes"]} == {"offline" if judging else "gemini-3.8-flash"}
    assert made["style"]["analysed_by"] == ("gemini-3.8-flash" if judging else "offline")
    assert any(re.search(message, note) for note in result.notes)


def test_words_that_no_offline_look_knows_need_gemini(tmp_path):
    with serving() as server:
        assert run(server, tmp_path / "run", describe="cubism").metadata["style"]["look"] == "pencil"


def test_words_that_need_gemini_and_a_key_that_it_refuses_are_said_together(tmp_path):
    """Catches a run that dies of the second reason, hides the first, and forgets the call that was sent."""
    refused = error(401, "bad key")
    both = r"^The Gemini key in GOOGLE_API_KEY was refused \(401\)\. Offline, no look matches \"cubism\"; name one of"
    with serving(lambda request: refused) as server, pytest.raises(AgentError, match=both):
        run(server, tmp_path / "run", describe="cubism")
    record = read_record(tmp_path / "run")
    (failed,) = (event for event in record.events if event.outcome == "failed")
    assert (failed.node, failed.usage.calls, server.calls) == ("analyze_style", 1, 1)
    assert "cubism" in failed.prompt
    assert len(record.notes()) == 1
    assert record.usage().calls == 1


def test_a_rejected_keyframe_is_redone_with_the_reason_then_escalated(tmp_path):
    def respond(request):
        if "pairs" in prompt_of(request):
            opinions = [{"same_scene": True, "same_style": k != 1, "problem": "Its sky is green."} for k in range(3)]
            return 200, text_body(json.dumps({"keyframes": opinions}))
        return good(request)

    with serving(respond) as server:
        result = run(server, tmp_path / "run", redo=2)
    attempts = [row["attempt"] for row in result.metadata["keyframes"]]
    assert attempts == [0, 2, 0]
    redone = [prompt_of(request) for _, request in server.requests if is_drawing(request)][3:]
    assert len(redone) == 2
    assert all("Its sky is green." in prompt for prompt in redone)
    assert any("still objects to keyframe 8" in note for note in result.notes)


def test_an_inconsistent_drawing_is_caught_by_measures(tmp_path, monkeypatch):
    """One keyframe comes back in other colours; the judge names it and the second attempt is taken."""
    monkeypatch.setattr("flowedit.agent.nodes.AT_ONCE", 1)
    drawn = []

    def respond(request):
        if is_drawing(request):
            drawn.append(1)
            image = 255 - sent_pictures(request)[0]
            return 200, image_body(image[..., ::-1] // 2 if len(drawn) == 2 else image)
        return good(request)

    with serving(respond) as server:
        result = run(server, tmp_path / "run")
    events = read_record(tmp_path / "run").events
    first = next(event for event in events if event.node == "judge").values["verdicts"]
    assert [len(verdict["faults"]) for verdict in first].count(1) == 1
    assert next(v for v in first if v["faults"])["faults"][0]["kind"] == "colours"
    assert sorted(row["attempt"] for row in result.metadata["keyframes"]) == [0, 0, 1]
    assert len(drawn) == 4


def test_no_key_is_one_clear_sentence_and_offline_never_calls(tmp_path, monkeypatch):
    with serving() as server:
        keyed = style_video(static_source(5), settings(server, backend="offline"), tmp_path / "keyed")
        monkeypatch.delenv("GOOGLE_API_KEY")
        asked = style_video(static_source(5), settings(server, backend="gemini"), tmp_path / "asked")
        auto = style_video(static_source(5), settings(server), tmp_path / "auto")
        quiet = style_video(static_source(5), settings(server, backend="offline"), tmp_path / "quiet")
        assert server.calls == 0
        with pytest.raises(AgentError, match=r"no look matches .* a key in GOOGLE_API_KEY\.$"):
            style_video(static_source(5), settings(server, describe="cubism"), tmp_path / "words")
    assert asked.notes == auto.notes == ("No Gemini key in GOOGLE_API_KEY; the keyframes are painted offline.",)
    assert quiet.notes == keyed.notes == ()


def colab(get):
    module = types.ModuleType("google.colab")
    module.userdata = types.SimpleNamespace(get=get)
    return module


def test_colabs_secret_comes_before_the_environment_and_a_refusal_after_it(monkeypatch):
    def refused(name):
        raise RuntimeError("access not granted")

    monkeypatch.setenv("GOOGLE_API_KEY", " from-the-environment ")
    assert find_key().get_secret_value() == "from-the-environment"
    monkeypatch.setitem(sys.modules, "google.colab", colab({"GOOGLE_API_KEY": "from-colab"}.get))
    assert find_key().get_secret_value() == "from-colab"
    assert "from-colab" not in repr(find_key())
    monkeypatch.setitem(sys.modules, "google.colab", colab(refused))
    assert find_key().get_secret_value() == "from-the-environment"
    monkeypatch.delenv("GOOGLE_API_KEY")
    assert find_key() is None


def test_a_stopped_run_goes_on_with_a_larger_budget_and_keeps_to_it(tmp_path):
    """Catches limits in the fingerprint, and an answer to a waiting run that falls back to the old limits."""
    folder = tmp_path / "run"
    with serving() as server:
        small, large = settings(server, max_calls=1), settings(server, max_calls=9, max_usd=5.0)
        first = style_video(static_source(), small, folder, approver=leave_waiting)
        assert first.status == "waiting"
        style_video(static_source(), large, folder, approver=leave_waiting)
        assert read_record(folder).settings.gemini.max_calls == 9
        other = settings(server, text_model="other")
        with pytest.raises(OutputError, match="other settings"):
            style_video(static_source(), other, folder)
