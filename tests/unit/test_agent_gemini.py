"""The client against a server that fails in every documented way: clear messages, backoff, budget, nothing lost."""

import json
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import numpy as np
import pytest
from agent_clips import picture
from agent_server import DRIP, KEY, READING, blocked_body, body, bytes_body, error, good, serving, text_body
from pydantic import SecretStr

from flowedit.agent.cancel import Cancel
from flowedit.agent.events import Event
from flowedit.agent.gemini import Gemini, GeminiError
from flowedit.agent.gemini_parts import StyleReading
from flowedit.agent.ledger import BudgetSpentError, Ledger
from flowedit.agent.settings import GeminiSettings
from flowedit.errors import AgentError, OutputError

IMAGE = picture(size=(48, 64))


class Asking:
    """A client that notes pauses and does not sleep, and the event of the last call."""

    def __init__(self, folder, url, **settings):
        chosen = GeminiSettings(**{"base_url": url, "attempts": 3, "backoff_s": 2.0, "timeout_s": 20, **settings})
        cancel, self.pauses = Cancel(), []
        cancel.sleep = self.pauses.append
        self.gemini = Gemini(chosen, SecretStr(KEY), folder, cancel)

    def read(self, prompt="Read it."):
        self.event = Event(node="test")
        return self.gemini.read(prompt, [IMAGE], StyleReading, self.event)

    def draw(self, prompt="Draw it.", image=IMAGE):
        self.event = Event(node="test")
        return self.gemini.draw(prompt, [image], self.event)


@pytest.fixture
def client(tmp_path):
    """Makes clients of one folder."""
    return lambda url, **settings: Asking(tmp_path / "answers", url, **settings)


def scripted(*answers):
    """Answers in order; the last one for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


GOOD = good({"contents": []})
NO_JSON = 200, b"<html>gateway</html>"
HANGS_UP = 200, None


def test_a_style_is_read_and_a_picture_drawn_and_both_are_paid_by_their_tokens(client):
    with serving() as server:
        asking = client(server.url)
        assert np.array_equal(asking.draw(), 255 - IMAGE)
        assert asking.event.usage.usd == pytest.approx(0.07 + (900 * 0.75 + 1290 * 3.75) / 1e6, abs=1e-6)
        assert asking.read().title == READING["title"]
    path, request = server.requests[1]
    assert path.endswith("/models/gemini-3.8-flash:generateContent")
    assert request["generationConfig"]["responseMimeType"] == "application/json"
    usage = asking.event.usage
    assert (asking.event.prompt, usage.calls, usage.tokens_in, usage.tokens_out) == ("Read it.", 1, 700, 40)
    assert usage.usd == pytest.approx((700 * 0.75 + 40 * 3.75) / 1e6, abs=1e-6)


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [
        ((error(429), error(429), GOOD), [2.0, 4.0]),
        ((error(429, details=[RETRY]), GOOD), [17.0]),
        ((HANGS_UP, GOOD), [2.0]),
        (((*error(429), {"Retry-After": "3"}), GOOD), [3.0]),
        (((*error(503), {"Retry-After": "1"}), GOOD), [2.0]),
        (((*error(429), {"Retry-After": formatdate(usegmt=True)}), GOOD), [2.0]),
    ],
)
def test_a_busy_server_is_asked_again_after_doubling_pauses_or_the_one_it_wants(client, answers, pauses):
    with serving(scripted(*answers)) as server:
        asking = client(server.url)
        assert asking.read().title == READING["title"]
    assert asking.pauses == pauses
    assert asking.event.usage.calls == server.calls == len(answers)


WAITS, REFUSED = r"to be called again in \d{4,} s, too long to wait", "key in GOOGLE_API_KEY was refused"
FAULTS = [
    ((*error(429), {"Retry-After": "3600"}), WAITS, 1),
    ((*error(429), {"Retry-After": formatdate(time.time() + 7200, usegmt=True)}), WAITS, 1),
    (error(429, details=[RETRY | {"retryDelay": "86400s"}]), WAITS, 1),
    *((error(code), "did not answer after 3 tries", 3) for code in (408, 429, 500, 503, 520, 529)),
    (NO_JSON, "did not answer after 3 tries", 3),
    (HANGS_UP, "did not answer after 3 tries", 3),
    (error(400, "API key not valid. Please pass a valid API key."), REFUSED, 0),
    (error(403), REFUSED, 0),
    (error(404), "no Gemini model gemini-3.1-flash-image", 0),
]
"""What is answered, what is said, and how often a server is asked for each drawing; 0 is once and never again."""


@pytest.mark.parametrize(("answer", "message", "tries"), FAULTS)
def test_a_fault_is_told_in_a_clear_message_and_met_again_only_where_it_may_pass(client, answer, message, tries):
    """Catches a server that wants hours asked again after a minute.

    Turned down a request costs nothing; what may have been served counts at the most it may cost.
    """
    with serving(scripted(answer)) as server:
        asking = client(server.url)
        for drawing in (1, 2):
            with pytest.raises(GeminiError, match=message) as caught:
                asking.draw()
            assert caught.value.lasting == (not tries)
            assert server.calls == (drawing * tries or 1)
            assert (asking.event.usage.usd > 3 * 0.07) == (answer[0] == 200)
    assert len(asking.pauses) == 2 * max(tries - 1, 0)


def test_no_network_is_said_once_and_ends_all_calls(client):
    with serving() as server:
        pass
    asking = client(server.url)
    for _ in range(2):
        with pytest.raises(GeminiError, match="cannot be reached") as caught:
            asking.draw()
        assert caught.value.lasting
        assert len(asking.pauses) == 2


@pytest.mark.parametrize("drips", [False, True])
def test_an_answer_that_is_not_whole_in_time_is_given_up_and_counts_as_paid(client, drips):
    """Catches a timeout that no client is handed, and one of each read, within which every byte came."""
    hold, pieces = threading.Event(), [bytes([byte]) for byte in json.dumps(GOOD[1]).encode()]
    with serving(lambda request: (200, pieces) if drips else (hold.wait(20), GOOD)[1]) as server:
        asking, clock = client(server.url, timeout_s=0.5, attempts=1), time.perf_counter()
        words = r" \(no whole answer within 0.5 s\)" if drips else ""
        try:
            with pytest.raises(GeminiError, match=f"did not answer after 1 tries{words}"):
                asking.draw()
        finally:
            hold.set()
    assert time.perf_counter() - clock < 5 < len(pieces) * DRIP
    assert asking.event.usage.usd > 0.07


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_server_that_sends_on_to_another_is_not_followed(client, code):
    """The key travelled on in its header, to whoever was named."""
    with serving() as other, serving(scripted((code, {}, {"Location": f"{other.url}/elsewhere"}))) as server:
        with pytest.raises(GeminiError, match=rf"sends requests on to another \({code}\), which is refused"):
            client(server.url).read()
        assert (server.calls, other.calls) == (1, 0)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (blocked_body("SAFETY"), r"blocked the request \(SAFETY\)"),
        (blocked_body("PROHIBITED_CONTENT"), r"blocked the request \(PROHIBITED_CONTENT\)"),
        (body(finish="IMAGE_SAFETY"), r"stopped its answer \(IMAGE_SAFETY\)"),
        ({"candidates": [], "modelVersion": "served"}, "empty answer"),
        (text_body("I cannot draw that."), r'words instead of a picture \("I cannot draw that\."\)'),
        (bytes_body(b"not a picture"), "picture that cannot be read"),
        (None, r"refused the request.*Image too large"),
    ],
)
def test_an_answer_without_a_picture_says_what_came(client, sent, message):
    answer = error(400, "Image too large") if sent is None else (200, sent)
    with serving(scripted(answer)) as server:
        for _ in range(2):
            with pytest.raises(GeminiError, match=message):
                client(server.url).draw()
        assert server.calls == (2 if sent is None else 1)  # what was answered is not paid twice


@pytest.mark.parametrize(
    ("text", "finish", "message"),
    [
        ('{"title": "Ink', "STOP", "malformed data"),
        ("Here is the style: soft ink.", "STOP", "malformed data"),
        ('{"title": "I', "MAX_TOKENS", "cut off at the token limit"),
        (json.dumps(READING | {"closest_look": "cubism"}), "STOP", r"malformed data \(closest_look"),
        (json.dumps({"title": "Ink"}), "STOP", r"malformed data \(medium: Field required\)"),
    ],
)
def test_an_answer_in_the_wrong_form_says_where(client, text, finish, message):
    answer = 200, text_body(text, finish=finish)
    with serving(scripted(answer)) as server, pytest.raises(GeminiError, match=message):
        client(server.url).read()


@pytest.mark.parametrize(
    ("model", "levelled"), [("gemini-3.8-flash", True), ("gemini-3.1-pro-preview", True), ("gemini-2.5-flash", False)]
)
def test_thoughts_leave_room_for_the_answer(client, model, levelled):
    """Catches thoughts that use up the limit, and a level of thinking sent to a model that refuses the word."""
    with serving() as server:
        asking = client(server.url, text_model=model)
        asking.read()
        asking.draw()
        reading, drawing = (request["generationConfig"] for _, request in server.requests)
    assert reading["maxOutputTokens"] == 8192
    # The vendor writes the inner name in either of the API's two spellings.
    assert [level.lower() for level in reading.get("thinkingConfig", {}).values()] == (["low"] if levelled else [])
    assert drawing["maxOutputTokens"] == 4096
    assert "thinkingConfig" not in drawing


@pytest.mark.parametrize(
    ("limit", "message", "calls"),
    [
        ({"max_calls": 2}, "budget of 2 Gemini calls is used up", 2),
        ({"max_usd": 0.2}, r"of the 0\.20 USD are spent", 2),
    ],
)
def test_a_budget_ends_the_calls_before_it_is_exceeded(client, limit, message, calls):
    with serving() as server:
        asking, spent = client(server.url, **limit), 0.0
        with pytest.raises(GeminiError, match=message) as caught:
            for k in range(9):
                asking.draw(f"Draw {k}.")
                spent += asking.event.usage.usd
        assert server.calls == calls
    assert caught.value.lasting
    assert 0.1 < spent <= 0.2


def test_money_for_requests_under_way_is_set_aside_also_after_a_kill(tmp_path):
    """Catches money that is set aside in memory only: the server may have drawn all the same."""

    def opened():
        return Ledger(tmp_path / "answers", GeminiSettings(max_usd=1.0), str)

    first = opened()
    first.reserve(0.6)
    for ledger in (first, opened()):
        with pytest.raises(BudgetSpentError, match=r"may cost 0\.500 USD"):
            ledger.reserve(0.5)
    first.settle(0.6, 0.1)
    first.reserve(0.5)


def test_answers_count_where_their_folder_came_without_a_count(client, tmp_path):
    with serving() as server:
        client(server.url).draw()
        (tmp_path / "answers" / "spent").unlink()
        with pytest.raises(GeminiError, match="budget of 1 Gemini calls"):
            client(server.url, max_calls=1).draw("Draw another.")


def test_the_same_request_is_paid_once_also_by_a_new_client(client):
    """With another prompt or another picture it is another request; a kept answer needs no server."""
    with serving() as server:
        first = client(server.url)
        drawn = first.draw()
        client(server.url).draw("Draw it otherwise.")
        client(server.url).draw(image=255 - IMAGE)
        assert server.calls == 3
    again = client("http://127.0.0.1:9")
    assert np.array_equal(again.draw(), drawn)
    assert again.event.usage == first.event.usage


def test_failed_requests_count_in_every_client_of_a_folder(client):
    """Catches a budget that a killed run begins anew: three clients, none answered, never more than five requests."""
    sent = []
    with serving(scripted(error(503))) as server:
        for k in range(3):
            with pytest.raises(GeminiError):
                client(server.url, max_calls=5).draw(f"Draw {k}.")
            sent.append(server.calls)
    assert sent == [3, 5, 5]


def test_a_count_of_requests_that_is_damaged_or_cannot_be_written_is_named(client, tmp_path):
    answers = tmp_path / "answers"
    answers.write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot write .*answers"):
        client("http://127.0.0.1:9").draw()
    answers.unlink()
    answers.mkdir()
    (answers / "spent").write_text("many")
    with pytest.raises(AgentError, match=r"spent is not a count of requests; delete it"):
        client("http://127.0.0.1:9")


def test_a_kept_answer_that_is_damaged_is_not_paid_for_again_without_a_word(client, tmp_path):
    with serving(scripted(GOOD)) as server:
        client(server.url).read()
        (kept,) = (tmp_path / "answers").glob("*.json")
        kept.write_text(kept.read_text()[:-9])
        with pytest.raises(AgentError, match=r"json is no kept answer; delete it"):
            client(server.url).read()
        assert server.calls == 1


def test_the_key_travels_in_the_header_only_and_is_in_no_file_or_message(client, tmp_path, caplog, recwarn):
    answers = (200, text_body(f"your key is {KEY}")), error(400, f"bad parameter near {KEY}")
    with serving(scripted(*answers)) as server:
        with pytest.raises(GeminiError):
            client(server.url).read()
        with pytest.raises(GeminiError) as caught:
            client(server.url).draw()
        path, request = server.requests[0]
        assert any(KEY in value for value in server.headers[0].values())
    echoing = blocked_body(f"BECAUSE {KEY}"), body(finish=f"OF_{KEY}"), text_body(f"{KEY} \ud800 \udce9")
    for answer in echoing:
        with serving(scripted((200, answer))) as server, pytest.raises(GeminiError) as told:
            client(server.url, attempts=1).draw(str(answer))
        assert KEY not in str(told.value)
        assert str(told.value).isprintable()
    assert KEY not in caplog.text + " ".join(str(warning.message) for warning in recwarn)
    assert KEY not in path + json.dumps(request)
    assert KEY not in str(caught.value)
    kept = list((tmp_path / "answers").iterdir())
    assert kept and all(KEY not in file.read_text() for file in kept)


def test_processes_that_share_a_folder_share_its_budget(tmp_path):  # catches: a count of each process
    code = (
        "import sys; from pathlib import Path\n"
        "from flowedit.agent.ledger import Ledger; from flowedit.agent.settings import GeminiSettings\n"
        "ledger = Ledger(Path(sys.argv[1]), GeminiSettings(max_calls=50), str)\n"
        "for _ in range(50):\n    ledger.reserve(0.01); ledger.settle(0.01, 0.01); print(1, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    assert sum(len(each.communicate()[0].split()) for each in both) == 50
    assert json.loads((tmp_path / "spent").read_text())["calls"] == 50
