"""The client against a server that fails in every documented way: clear messages, backoff, budget, nothing lost."""

import json
import time

import numpy as np
import pytest
from agent_clips import picture
from agent_server import (
    KEY,
    READING,
    blocked_body,
    bytes_body,
    error_body,
    good,
    image_body,
    serving,
    stopped_body,
    text_body,
)
from pydantic import SecretStr

from flowedit.agent.gemini import Gemini, GeminiError
from flowedit.agent.gemini_parts import StyleReading
from flowedit.agent.settings import GeminiSettings
from flowedit.errors import AgentError, OutputError

IMAGE = picture(size=(48, 64))


@pytest.fixture
def client(tmp_path):
    """Makes clients that note their pauses instead of sleeping."""

    def make(url, **settings):
        pauses = []
        chosen = GeminiSettings(**{"base_url": url, "attempts": 3, "backoff_s": 2.0, "timeout_s": 20, **settings})
        made = Gemini(chosen, SecretStr(KEY), tmp_path / "answers", sleep=pauses.append)
        made.pauses = pauses
        return made

    return make


def scripted(*answers):
    """Answers in order; the last one for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def test_a_style_is_read_and_paid_by_its_tokens(client):
    with serving() as server:
        reply = client(server.url).read("Read it.", [IMAGE], StyleReading)
    assert reply.value.title == READING["title"]
    assert server.requests[0][0].endswith("/models/gemini-3.8-flash:generateContent")
    assert server.requests[0][1]["generationConfig"]["responseMimeType"] == "application/json"
    assert (reply.usage.calls, reply.usage.tokens_in, reply.usage.tokens_out) == (1, 700, 40)
    assert reply.usage.usd == pytest.approx((700 * 0.75 + 40 * 3.75) / 1e6, abs=1e-6)


def test_a_picture_is_drawn_and_paid_by_the_picture_and_its_tokens(client):
    with serving() as server:
        reply = client(server.url).draw("Draw it.", [IMAGE])
    assert np.array_equal(reply.value, 255 - IMAGE)
    assert reply.usage.usd == pytest.approx(0.07 + (900 * 0.75 + 1290 * 3.75) / 1e6, abs=1e-6)


def test_a_busy_server_is_asked_again_after_doubling_pauses(client):
    busy = (429, error_body(429, "RESOURCE_EXHAUSTED", "Quota"))
    with serving(scripted(busy, busy, good({"contents": []}))) as server:
        gemini = client(server.url)
        reply = gemini.read("Read it.", [IMAGE], StyleReading)
    assert gemini.pauses == [2.0, 4.0]
    assert reply.usage.calls == server.calls == 3


def test_the_server_may_ask_for_a_longer_pause(client):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]
    busy = (429, error_body(429, "RESOURCE_EXHAUSTED", "Quota", details))
    with serving(scripted(busy, good({"contents": []}))) as server:
        gemini = client(server.url)
        gemini.read("Read it.", [IMAGE], StyleReading)
    assert gemini.pauses == [17.0]


@pytest.mark.parametrize("code", [408, 429, 500, 503, 520, 529])
def test_a_server_that_stays_busy_ends_in_a_clear_message(client, code):
    with serving(lambda request: (code, error_body(code, "UNAVAILABLE", "Overloaded"))) as server:
        with pytest.raises(GeminiError, match="did not answer after 3 tries") as caught:
            client(server.url).draw("Draw it.", [IMAGE])
        assert server.calls == 3
    assert not caught.value.lasting
    assert caught.value.usage.calls == 3


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), (403, "PERMISSION_DENIED", "No")],
)
def test_a_refused_key_is_asked_once_and_never_again(client, code, status, message):
    with serving(lambda request: (code, error_body(code, status, message))) as server:
        gemini = client(server.url)
        with pytest.raises(GeminiError, match="key in GOOGLE_API_KEY was refused") as caught:
            gemini.draw("Draw it.", [IMAGE])
        with pytest.raises(GeminiError, match="was refused"):
            gemini.draw("Draw another.", [IMAGE])
        assert server.calls == 1
    assert caught.value.lasting


def test_an_unknown_model_is_named(client):
    answer = 404, error_body(404, "NOT_FOUND", "no such model")
    with serving(lambda request: answer) as server, pytest.raises(GeminiError, match="no Gemini model old-model"):
        client(server.url, text_model="old-model").read("Read it.", [IMAGE], StyleReading)


def test_a_bad_request_is_not_repeated(client):
    with serving(lambda request: (400, error_body(400, "INVALID_ARGUMENT", "Image too large"))) as server:
        with pytest.raises(GeminiError, match=r"refused the request.*Image too large"):
            client(server.url).draw("Draw it.", [IMAGE])
        assert server.calls == 1


def test_no_network_is_said_once_and_ends_all_calls(client):
    with serving() as server:
        pass
    gemini = client(server.url)
    with pytest.raises(GeminiError, match="cannot be reached") as caught:
        gemini.draw("Draw it.", [IMAGE])
    assert caught.value.lasting
    assert len(gemini.pauses) == 2
    with pytest.raises(GeminiError, match="cannot be reached"):
        gemini.draw("Draw another.", [IMAGE])
    assert len(gemini.pauses) == 2


def test_a_silent_server_is_given_up_after_the_timeout(client):
    def slow(request):
        time.sleep(3)
        return good(request)

    with serving(slow) as server:
        began = time.perf_counter()
        with pytest.raises(GeminiError, match="did not answer after 1 tries"):
            client(server.url, timeout_s=0.3, attempts=1).draw("Draw it.", [IMAGE])
        assert time.perf_counter() - began < 2.5


def test_a_connection_that_drops_is_tried_again(client):
    with serving(scripted((200, None), good({"contents": []}))) as server:
        assert client(server.url).read("Read it.", [IMAGE], StyleReading).value.title == READING["title"]
        assert server.calls == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (blocked_body("SAFETY"), r"blocked the request \(SAFETY\)"),
        (blocked_body("PROHIBITED_CONTENT"), r"blocked the request \(PROHIBITED_CONTENT\)"),
        (stopped_body("IMAGE_SAFETY"), r"stopped its answer \(IMAGE_SAFETY\)"),
        (stopped_body("SAFETY"), r"stopped its answer \(SAFETY\)"),
        ({"candidates": [], "modelVersion": "served"}, "empty answer"),
        (text_body("I cannot draw that."), r'words instead of a picture \("I cannot draw that\."\)'),
        (bytes_body(b"not a picture"), "picture that cannot be read"),
    ],
)
def test_an_answer_without_a_picture_says_what_came(client, body, message):
    with serving(lambda request: (200, body)) as server:
        with pytest.raises(GeminiError, match=message):
            client(server.url).draw("Draw it.", [IMAGE])
        assert server.calls == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"title": "Ink', "malformed data"),
        ("Here is the style: soft ink.", "malformed data"),
        (json.dumps(READING | {"closest_look": "cubism"}), r"malformed data \(closest_look"),
        (json.dumps({"title": "Ink"}), r"malformed data \(medium: Field required\)"),
    ],
)
def test_an_answer_in_the_wrong_form_says_where(client, text, message):
    with serving(lambda request: (200, text_body(text))) as server, pytest.raises(GeminiError, match=message):
        client(server.url).read("Read it.", [IMAGE], StyleReading)


def test_an_answer_cut_off_at_the_limit_says_so(client):
    cut = 200, text_body('{"title": "I', finish="MAX_TOKENS")
    with serving(lambda request: cut) as server, pytest.raises(GeminiError, match="cut off at the token limit"):
        client(server.url).read("Read it.", [IMAGE], StyleReading)


def test_a_body_that_is_no_json_is_tried_again_then_named(client):
    with serving(lambda request: (200, b"<html>gateway</html>")) as server:
        with pytest.raises(GeminiError, match="did not answer after 3 tries"):
            client(server.url).read("Read it.", [IMAGE], StyleReading)
        assert server.calls == 3


@pytest.mark.parametrize(
    ("model", "levelled"),
    [("gemini-3.8-flash", True), ("gemini-3.1-pro-preview", True), ("gemini-4", True), ("gemini-2.5-flash", False)],
)
def test_thoughts_leave_room_for_the_answer(client, model, levelled):
    """Catches thoughts that use up the limit, and a level of thinking sent to a model that refuses the word."""
    with serving() as server:
        gemini = client(server.url, text_model=model)
        gemini.read("Which style?", [IMAGE], StyleReading)
        gemini.draw("Draw it.", [IMAGE])
        reading, drawing = (request["generationConfig"] for _, request in server.requests)
    assert reading["maxOutputTokens"] == 8192
    # The vendor writes the inner name in either of the API's two spellings.
    assert [level.lower() for level in reading.get("thinkingConfig", {}).values()] == (["low"] if levelled else [])
    assert drawing["maxOutputTokens"] == 4096
    assert "thinkingConfig" not in drawing


def test_what_a_reading_may_cost_at_most_is_set_aside(client):
    """Catches a limit of tokens that was raised while the budget went on with the old one."""
    with serving() as server:
        most = 8192 * GeminiSettings().usd_per_million_out / 1e6
        with pytest.raises(GeminiError, match=r"the next Gemini call may cost 0\.03"):
            client(server.url, max_usd=most).read("Which style?", [IMAGE], StyleReading)
        assert server.calls == 0


def test_the_budget_of_calls_is_kept(client):
    with serving() as server:
        gemini = client(server.url, max_calls=2)
        for k in range(2):
            gemini.draw(f"Draw {k}.", [IMAGE])
        with pytest.raises(GeminiError, match="budget of 2 Gemini calls is used up") as caught:
            gemini.draw("Draw 2.", [IMAGE])
        assert server.calls == 2
    assert caught.value.lasting


def test_the_budget_of_money_stops_before_it_is_exceeded(client):
    with serving() as server:
        gemini = client(server.url, max_usd=0.2)
        spent = 0.0
        with pytest.raises(GeminiError, match=r"of the 0\.20 USD are spent"):
            for k in range(9):
                spent += gemini.draw(f"Draw {k}.", [IMAGE]).usage.usd
        assert 0.1 < spent <= 0.2
        assert server.calls == 2


def test_money_for_calls_under_way_is_set_aside(tmp_path):
    from flowedit.agent.budget import Budget, BudgetSpentError
    from flowedit.agent.events import Usage

    budget = Budget(GeminiSettings(max_usd=1.0), tmp_path / "spent", Usage(usd=0.3))
    budget.reserve(0.5)
    with pytest.raises(BudgetSpentError, match="may cost"):
        budget.reserve(0.5)
    budget.settle(0.5, 0.1)
    budget.reserve(0.5)


def test_the_same_request_is_paid_once_also_by_a_new_client(client):
    with serving() as server:
        first = client(server.url).draw("Draw it.", [IMAGE])
        second = client(server.url).draw("Draw it.", [IMAGE])
        client(server.url).draw("Draw it otherwise.", [IMAGE])
        client(server.url).draw("Draw it.", [255 - IMAGE])
        assert server.calls == 3
    assert np.array_equal(first.value, second.value)


def test_a_new_client_counts_what_was_spent_before(client):
    with serving() as server:
        client(server.url).draw("Draw it.", [IMAGE])
        with pytest.raises(GeminiError, match="budget of 1 Gemini calls"):
            client(server.url, max_calls=1).draw("Draw another.", [IMAGE])


def test_failed_requests_count_in_every_client_of_a_folder(client):
    """Catches a budget that a killed run begins anew: three clients, none answered, never more than five requests."""
    busy = 503, error_body(503, "UNAVAILABLE", "Overloaded")
    sent = []
    with serving(lambda request: busy) as server:
        for k in range(3):
            with pytest.raises(GeminiError):
                client(server.url, max_calls=5).draw(f"Draw {k}.", [IMAGE])
            sent.append(server.calls)
    assert sent == [3, 5, 5]


def test_a_request_that_a_kill_cut_off_counts_at_the_most_it_may_cost(tmp_path):
    """Catches money that is set aside in memory only: the server may have drawn all the same."""
    from flowedit.agent.budget import Budget, BudgetSpentError
    from flowedit.agent.events import Usage

    settings, ledger = GeminiSettings(max_usd=1.0), tmp_path / "answers" / "spent"
    Budget(settings, ledger, Usage()).reserve(0.6)
    with pytest.raises(BudgetSpentError, match=r"0\.600 of the 1\.00 USD"):
        Budget(settings, ledger, Usage()).reserve(0.6)


def test_a_damaged_count_of_requests_is_named(client, tmp_path):
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "spent").write_text("many")
    with pytest.raises(AgentError, match=r"spent is not a count of requests; delete it"):
        client("http://127.0.0.1:9")


def test_a_count_that_cannot_be_written_is_named(client, tmp_path):
    (tmp_path / "answers").write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot write .*answers"):
        client("http://127.0.0.1:9").draw("Draw it.", [IMAGE])


@pytest.mark.parametrize("fault", [(200, b"<html>gateway</html>"), (200, None)])
def test_a_request_that_may_have_been_served_counts_as_paid(client, fault):
    """Catches a lost answer that is booked as free: the budget allows two of them, and the run says what they cost."""
    with serving(lambda request: fault) as server:
        with pytest.raises(GeminiError, match=r"of the 0\.20 USD are spent") as caught:
            client(server.url, max_usd=0.2, attempts=9).draw("Draw it.", [IMAGE])
        assert server.calls == 2
    assert 0.15 < caught.value.usage.usd <= 0.2


def test_an_answer_that_came_too_late_counts_as_paid(client):
    def slow(request):
        time.sleep(1)
        return good(request)

    with serving(slow) as server, pytest.raises(GeminiError, match="did not answer after 1 tries") as caught:
        client(server.url, timeout_s=0.3, attempts=1).draw("Draw it.", [IMAGE])
    assert caught.value.usage.usd > 0.07


@pytest.mark.parametrize("code", [429, 503])
def test_a_request_that_the_server_turned_down_costs_nothing(client, code):
    with serving(lambda request: (code, error_body(code, "UNAVAILABLE", "Later"))) as server:
        with pytest.raises(GeminiError, match="after 3 tries") as caught:
            client(server.url, max_usd=0.1).draw("Draw it.", [IMAGE])
        assert server.calls == 3
    assert caught.value.usage.usd == 0


def test_a_refused_answer_is_not_paid_twice_either(client):
    with serving(lambda request: (200, text_body("No."))) as server:
        for _ in range(2):
            with pytest.raises(GeminiError, match="words instead"):
                client(server.url).draw("Draw it.", [IMAGE])
        assert server.calls == 1


def test_the_key_travels_in_the_header_only_and_is_in_no_file_or_message(client, tmp_path):
    echo = error_body(400, "INVALID_ARGUMENT", f"bad parameter near {KEY}")
    with serving(scripted((200, text_body(f"your key is {KEY}")), (400, echo))) as server:
        with pytest.raises(GeminiError):
            client(server.url).read("Read it.", [IMAGE], StyleReading)
        with pytest.raises(GeminiError) as caught:
            client(server.url).draw("Draw it.", [IMAGE])
        path, request = server.requests[0]
        assert any(KEY in value for value in server.headers[0].values())
    assert KEY not in path + json.dumps(request)
    assert KEY not in str(caught.value)
    kept = list((tmp_path / "answers").iterdir())
    assert kept and all(KEY not in file.read_text() for file in kept)


def test_recorded_answers_replay_without_a_server(client, tmp_path):
    with serving(lambda request: (200, image_body(255 - IMAGE))) as server:
        recorded = client(server.url).draw("Draw it.", [IMAGE])
    replayed = client("http://127.0.0.1:9").draw("Draw it.", [IMAGE])
    assert np.array_equal(recorded.value, replayed.value)
    assert replayed.usage == recorded.usage
