"""What the widgets stand on: sprite sheets, plain values, jobs, the exported page."""

import json
import re
import threading
import time

import numpy as np
import pytest

from flowedit.errors import SettingError, WidgetError
from flowedit.widgets import FrameScrubber
from flowedit.widgets import page as make_page
from flowedit.widgets._base import plain
from flowedit.widgets._jobs import Job
from flowedit.widgets._sprites import encode_clip, encode_images
from tests.browser.examples import EXAMPLES, decode_frame, demo_clip, grainy_clip


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 33])
def test_small_clips_come_back_exactly(count):
    clip = np.random.default_rng(count).integers(0, 256, (count, 6, 10, 3), dtype=np.uint8)
    encoded = encode_clip(clip)
    assert encoded["quality"] == "lossless"
    for index in range(count):
        np.testing.assert_array_equal(decode_frame(encoded, index), clip[index])


def test_several_sheets_keep_the_order(monkeypatch):
    monkeypatch.setattr("flowedit.widgets._sprites._SHEET_HEIGHT", 4 * 16)
    clip = np.arange(11, dtype=np.uint8)[:, None, None, None] * np.full((11, 16, 16, 3), 20, np.uint8)
    encoded = encode_clip(clip)
    assert [part["start"] for part in encoded["sheets"]] == [0, 4, 8]
    assert [int(decode_frame(encoded, i)[0, 0, 0]) for i in range(11)] == [20 * i for i in range(11)]


@pytest.mark.parametrize("budget", [20_000, 60_000, 200_000])
@pytest.mark.parametrize("size", [(48, 64), (144, 256)])
def test_the_budget_is_kept_where_the_frames_looked_at_say_nothing(budget, size):
    """Catches a size foretold from a few flat frames of a clip whose others are hard to compress."""
    clip = np.random.default_rng(0).integers(0, 256, (31, *size, 3), dtype=np.uint8)
    clip[np.linspace(0, 30, 4).astype(int)] = 90
    encoded = encode_clip(clip, budget)
    assert encoded["bytes"] <= budget
    assert encoded["bytes"] > 0.2 * budget or encoded["quality"] == "lossless"
    assert decode_frame(encoded, 0).shape == (encoded["cell"][1], encoded["cell"][0], 3)


def test_where_quality_is_not_enough_size_pays():
    encoded = encode_clip(grainy_clip(24, 136, 240), 40_000)
    assert encoded["bytes"] <= 40_000
    assert encoded["cell"][0] < 240
    assert (encoded["width"], encoded["height"]) == (240, 136)
    assert encoded["cell"][0] / encoded["cell"][1] == pytest.approx(240 / 136, rel=0.03)


def test_an_image_is_scaled_down_never_up_and_a_wrong_one_is_refused():
    assert len(encode_images([np.zeros((900, 1600, 3), np.uint8)], max_side=100)[0]) < 400
    with pytest.raises(WidgetError, match="float64"):
        encode_images([np.zeros((4, 4, 3))], max_side=100)


def test_plain_values_survive_json():
    value = {"a": np.float32("nan"), 3: [np.int64(4), np.inf], "c": np.array([[True, False]])}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {"a": None, "3": [4, None], "c": [[True, False]]}


@pytest.mark.parametrize("name", EXAMPLES)
def test_state_is_small_json_and_a_page_cannot_be_broken_by_text(name):
    made = EXAMPLES[name]()
    made.heading = made.note = "</script><!-- <b>"
    text = made.to_html()
    assert text.count("</script>") == 3  # state, its widget, their host
    assert "<b></h1>" not in text
    models = re.search(r'id="fe-models">(.*?)</script>', text, re.S)[1]
    assert len(models) < 1_000_000
    assert json.loads(models)[0]["state"]["heading"] == "</script><!-- <b>"
    assert "_esm" not in json.loads(models)[0]["state"]


def test_two_widgets_of_one_kind_share_their_script_in_a_page():
    source, _ = demo_clip(5, 16, 16)
    one, two = (FrameScrubber({"a": source}) for _ in range(2))
    assert make_page([one, two], "Two").count('fe.widget("frame-scrubber"') == 1


def test_a_generator_job_reports_and_a_second_start_is_refused():
    heard, results, go = [], [], threading.Event()
    job = Job(heard.append)

    def work():
        yield 1, 4
        go.wait(5)
        time.sleep(0.15)
        yield "half way"
        yield 2, 4
        return "end"

    assert job.start(work, results.append)
    assert not job.start(lambda: 0, results.append)
    go.set()
    job.wait(5)
    assert results == ["end"]
    assert any(status["text"] == "half way" for status in heard)


def test_work_that_ends_while_its_cancel_is_told_stays_ended():
    """Catches a widget that says `stopping` for ever: the thread that cancels speaks last of a job that is over."""
    heard = []

    def report(status):
        if status["state"] == "cancelling":
            time.sleep(0.2)  # the work ends meanwhile
        heard.append(status["state"])

    def work():
        while True:
            time.sleep(0.01)
            yield 0, 1

    job = Job(report)
    job.start(work, heard.append)
    job.cancel()
    job.wait(5)
    assert heard[-2:] == ["cancelling", "cancelled"]


def test_cancel_drops_the_result_of_a_plain_job():
    heard, results, go = [], [], threading.Event()
    job = Job(heard.append)
    job.start(lambda: go.wait(5), results.append)
    job.cancel()
    go.set()
    job.wait(5)
    assert results == []
    assert heard[-1]["state"] == "cancelled"


@pytest.mark.parametrize(
    ("error", "said"), [(SettingError("alpha is -1."), "alpha is -1."), (ValueError("no"), "ValueError: no")]
)
def test_a_failing_job_says_why(error, said):
    heard = []
    job = Job(heard.append)

    def work():
        raise error

    job.start(work, print)
    job.wait(5)
    assert (heard[-1]["state"], heard[-1]["text"]) == ("failed", said)
