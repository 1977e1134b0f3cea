"""What speaks against a keyframe really changes its next attempt, by words as by measures."""

import numpy as np
import pytest
from agent_clips import picture, static_source
from test_agent_judge import FRAMES, card_of, judged, kinds, well

from flowedit.agent import parts as parts_module
from flowedit.agent.adjustment import ColourAdjustment, heard
from flowedit.agent.colour import to_lab
from flowedit.agent.events import Event, read_record
from flowedit.agent.graph import after_judge
from flowedit.agent.parts import OfflineParts
from flowedit.agent.result import pairs_of, read_result
from flowedit.agent.run import answer, answering, leave_waiting, style_video
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import Decision, Fault, Plan, Styled, Verdict
from flowedit.errors import AgentError
from flowedit.media.images import read_image

OIL = StyleSettings(style="oil", backend="offline")
IMAGE = picture(size=(96, 160))


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("The sky is too dark.", {"lightness": 8}),
        ("make it darker", {"lightness": -8}),
        ("not bright enough", {"lightness": 8}),
        ("Its sky is green.", {"red": 9}),
        ("a bit more blue, please", {"yellow": -9}),
        ("less yellow and much brighter", {"yellow": -9, "lightness": 8}),
        ("the look is too strong", {"share": 0.75}),
        ("more colourful", {"chroma": 1.3}),
        *((words, None) for words in ("the left ear is missing", "delightful", "the highlight is lost", "")),
    ],
)
def test_words_of_light_colour_and_strength_are_heard_and_others_not_guessed_at(words, asked):
    assert heard(words) == (asked and ColourAdjustment(**asked))


def test_adjustments_add_up_within_bounds():
    dark = ColourAdjustment(lightness=8)
    assert dark.then(ColourAdjustment(lightness=8, chroma=2)) == ColourAdjustment(lightness=16, chroma=2)
    assert ColourAdjustment(lightness=39).then(ColourAdjustment(lightness=39)).lightness == 40
    assert ColourAdjustment(chroma=2.5).then(ColourAdjustment(chroma=2.5)).chroma == 3


def test_an_adjustment_moves_lab_and_nothing_else():
    grey = np.full((20, 30, 3), 120, np.uint8)
    moved = to_lab(ColourAdjustment(lightness=10, red=5).apply(grey)) - to_lab(grey)
    assert moved.mean(axis=(0, 1)) == pytest.approx([10, 5, 0], abs=0.5)
    assert np.array_equal(ColourAdjustment().apply(IMAGE), IMAGE)


def test_the_judge_says_what_would_bring_a_keyframe_to_the_others():
    """A keyframe that is too dark and too red passes once it was moved by what the judge asked for."""
    card, pictures = well()
    pictures[16] = ColourAdjustment(lightness=-20, red=12).apply(pictures[16])
    (fault,) = judged(pictures, card)[16].faults
    assert fault.adjustment is not None
    assert fault.adjustment.lightness == pytest.approx(20, abs=6)
    assert fault.adjustment.red == pytest.approx(-12, abs=5)
    assert "lighter by" in fault.text
    assert "greener by" in fault.text
    pictures[16] = fault.adjustment.apply(pictures[16])
    assert kinds(judged(pictures, card)) == {0: (), 8: (), 16: (), 32: ()}


def test_the_judge_says_what_would_bring_a_palette_to_the_reference():
    card, _ = well("transfer")
    red = {k: np.ascontiguousarray(frame[..., [2, 1, 0]] // 3) for k, frame in FRAMES.items()}
    faults = [fault for fault in judged(red, card)[8].faults if fault.kind == "palette"]
    assert faults[0].adjustment is not None
    assert faults[0].adjustment.yellow > 10


def test_a_rejected_keyframe_is_painted_as_the_judge_asked(tmp_path, monkeypatch):
    """The first attempt at one keyframe comes out too dark: the redo is lighter, and passes."""
    whole, darkened = parts_module.paint, []

    def faulty(image, card, seed, strength):
        painted = whole(image, card, seed, strength)
        if np.array_equal(image, source.frame(8)):
            darkened.append(1)
            return ColourAdjustment(lightness=-22).apply(painted)
        return painted

    source = static_source()
    monkeypatch.setattr(parts_module, "paint", faulty)
    result = style_video(source, OIL, tmp_path / "run")
    rows = {row["index"]: row for row in result.metadata["keyframes"]}
    assert len(darkened) == 3  # painted, compared with what the look gives, painted again
    assert [rows[index]["attempt"] for index in (0, 8, 16)] == [0, 1, 0]
    assert rows[8]["adjustment"]["lightness"] > 12
    assert rows[8]["verdict"]["faults"] == []
    assert rows[0]["adjustment"] == {}
    redone = [event for event in read_record(tmp_path / "run").events if event.values.get("attempt") == 1]
    assert "lighter by" in redone[0].values["asked"][0]


def state_with(done, *faults, decision=None):
    card = card_of()
    verdict = Verdict(structure=1.0, disagreement=0.0, change=1.0, faults=tuple(faults))
    state = {"card": card, "plan": Plan(prompt="", video_prompt=""), "styled": {8: done}, "verdicts": {8: verdict}}
    return state if decision is None else {**state, "decision": decision}


STYLED = Styled(index=8, attempt=0, file="x.png", by="offline")
FAINT = Fault(kind="too_faint", text="It is almost the source frame.")
DARK = Fault(kind="colours", text="Too dark.", adjustment=ColourAdjustment(lightness=12))


def test_what_would_be_painted_alike_again_is_escalated_at_once():
    """Catches a redo that repeats itself: a look that lies on fully cannot be less faint."""
    assert after_judge(state_with(STYLED, FAINT), redo=2) == "approve"
    for changed in ({"strength": 0.5}, {"by": "gemini"}, {"note": "The server was busy."}):
        (sent,) = after_judge(state_with(STYLED.model_copy(update=changed), FAINT), redo=2)
        assert sent.arg["strength"] == 1.0


def test_corrections_of_several_attempts_add_up():
    once = STYLED.model_copy(update={"attempt": 1, "adjustment": ColourAdjustment(lightness=5)})
    (sent,) = after_judge(state_with(once, DARK), redo=2)
    assert sent.arg["adjustment"] == ColourAdjustment(lightness=17)
    assert after_judge(state_with(once, DARK), redo=1) == "approve"


def test_what_a_look_did_not_paint_does_not_steer_it(tmp_path):
    """A slip of the first attempt: the second is painted plain, not pushed away from colours that were not its own."""

    class Careless(OfflineParts):
        def style(self, image, master, task, event):
            good = super().style(image, master, task, event)
            return good[..., ::-1].copy() if task["index"] == 8 and task["attempt"] == 0 else good

    result = style_video(static_source(), OIL, tmp_path / "run", parts=Careless(OIL))
    rows = {row["index"]: row for row in result.metadata["keyframes"]}
    assert [rows[index]["attempt"] for index in (0, 8, 16)] == [0, 1, 0]
    assert (rows[8]["adjustment"], rows[8]["verdict"]["faults"], rows[8]["note"]) == ({}, [], "")


def test_a_models_drawing_does_not_steer_a_look():
    card, pictures = well()
    pictures[16] = ColourAdjustment(lightness=-22).apply(pictures[16])
    by = {k: Styled(index=k, attempt=0, file="x.png", by="gemini") for k in pictures}
    shown = {k: (by[k], pictures[k]) for k in pictures}
    verdicts = OfflineParts(OIL).judge(FRAMES, shown, card, Event(node="judge"))
    assert [fault.kind for fault in verdicts[16].faults] == ["colours"]
    assert verdicts[16].faults[0].adjustment is None
    assert "lighter by" in verdicts[16].faults[0].text


def test_a_persons_wish_is_not_undone_by_measures():
    asked = state_with(STYLED, DARK, decision=Decision(redo={8: "darker"}))
    assert after_judge(asked, redo=2) == "approve"
    assert after_judge({**asked, "decision": Decision(redo={0: "darker"})}, redo=2) != "approve"


def test_a_person_is_heard(tmp_path):
    source, folder = static_source(), tmp_path / "run"
    first = style_video(source, OIL, folder, approver=leave_waiting)
    again = answer(source, folder, Decision(redo={8: "too dark", 16: "the ear is missing"}))
    assert again.request is not None
    before, after = (result.request.files[8] for result in (first, again))
    lighter = read_image(folder / after).astype(int).mean() - read_image(folder / before).astype(int).mean()
    assert lighter > 8
    assert again.notes == (
        '"the ear is missing" says nothing of light, colour or strength, which is all that a look can change; '
        "keyframe 16 was painted at a strength of 0.75.",
    )
    done = answer(source, folder, Decision(redo={8: "too weak"}))
    assert "cannot be laid on more strongly" in done.notes[-1]
    rows = answer(source, folder, Decision()).metadata["keyframes"]
    assert [row["adjustment"].get("lightness", 0) for row in rows] == [0, 8, 0]
    assert [row["strength"] for row in rows] == [1, 1, 0.75]
    with pytest.raises(AgentError, match="is done, not waiting"):
        answer(source, folder, Decision())


def test_a_redo_of_a_frame_that_is_no_keyframe_is_refused_and_the_run_waits(tmp_path):
    """Catches an answer about frame 99 that counted as approval."""
    source, folder = static_source(), tmp_path / "run"
    unknown = r"^Frame 99 is no keyframe of this run; redo one of 0, 8, 16\.$"
    with pytest.raises(AgentError, match=unknown):
        style_video(source, OIL, folder, approver=lambda request: Decision(redo={99: "too dark"}))
    assert read_record(folder).status == "waiting"
    with pytest.raises(AgentError, match=unknown):
        answer(source, folder, Decision(redo={8: "too dark", 99: "too dark"}))
    with pytest.raises(AgentError, match=unknown):
        answering(source, folder)({"approve": True, "redo": {99: "too dark"}})
    assert len(pairs_of(read_result(folder))) == 3
    assert answer(source, folder, Decision(redo={8: "too dark"})).status == "waiting"
    assert answer(source, folder, Decision()).status == "done"


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_redo_without_a_reason_is_refused(reason):
    with pytest.raises(AgentError, match=r"Keyframe 8 is to be redone for the reason .*; say in a few words"):
        Decision(redo={8: reason})
    assert Decision(redo={8: " too dark "}).redo == {8: "too dark"}


def test_a_question_that_is_broken_off_leaves_a_run_that_waits(tmp_path):
    """Catches Ctrl-C at the question: the run was said to be running, and no gallery could show it."""

    def leaves(request):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        style_video(static_source(), OIL, tmp_path / "run", approver=leaves)
    assert len(pairs_of(read_result(tmp_path / "run"))) == 3


def test_a_gallery_answers_a_waiting_run(tmp_path):
    """The answer reaches the graph's interrupt, the redone keyframe comes back, and approval ends the run."""
    from flowedit.widgets import KeyframeGallery

    source, folder = static_source(), tmp_path / "run"
    resume = answering(source, folder)
    before = KeyframeGallery(pairs_of(style_video(source, OIL, folder, approver=leave_waiting)), resume=resume).pairs
    after = KeyframeGallery(resume({"approve": True, "redo": {8: "too dark"}}), resume=resume).pairs
    same = [one["styled"] == other["styled"] for one, other in zip(before, after, strict=True)]
    assert same == [True, False, True]
    assert after[1]["scores"]["contours kept"] > 0.3
    assert resume({"approve": True, "redo": {}}) is None
    assert read_record(folder).status == "done"
    with pytest.raises(AgentError, match="is done; only a waiting one"):
        pairs_of(read_result(folder))
