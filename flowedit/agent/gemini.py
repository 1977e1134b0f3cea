"""Calls to Gemini through langchain-google-genai: tried again when the server is busy, paid for once."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import UInt8
from langchain_core.messages import HumanMessage
from langchain_google_genai import ChatGoogleGenerativeAI, Modality
from PIL import Image
from pydantic import BaseModel, SecretStr, ValidationError

from flowedit.agent.answers import Answer, Answers, as_png, as_sent, from_message, request_name
from flowedit.agent.budget import Budget, BudgetSpentError
from flowedit.agent.events import Usage
from flowedit.agent.keys import VARIABLE, redactor
from flowedit.agent.settings import GeminiSettings
from flowedit.agent.stop import Stop
from flowedit.errors import AgentError

Picture = UInt8[np.ndarray, "_H _W 3"]
Value = TypeVar("Value")
Schema = TypeVar("Schema", bound=BaseModel)

_TOKENS_PER_IMAGE = 1300
_MOST_TOKENS_OUT = {"read": 8192, "draw": 4096}
"""What a model may answer at most, its thoughts included; a reading is 1000 tokens, but models think beforehand."""
_LEVELLED = re.compile(r"(models/)?gemini-(3|[4-9]|\d\d)")
"""Models that take a level of thinking; earlier ones refuse the word, and think within the limit."""
_LONGEST_PAUSE_S = 60.0
_LEDGER = "spent"
"""Beside the answers: how many requests were sent and what they cost, answered or not."""


class GeminiError(AgentError):
    """A call that gave nothing usable; `lasting` where every further call would fail in the same way.

    `usage` is what it cost all the same: an answer without a picture is paid for too.
    """

    def __init__(self, message: str, *, lasting: bool = False, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.lasting = lasting
        self.usage = usage or Usage()


@dataclass(frozen=True, kw_only=True)
class Reply(Generic[Value]):
    """A usable answer.

    Attributes:
        value: what was asked for.
        usage: what it took.
        model: which model gave it.
    """

    value: Value
    usage: Usage
    model: str


class Gemini:
    """A client for one run; its methods may be called from several threads."""

    def __init__(
        self,
        settings: GeminiSettings,
        key: SecretStr,
        answers: Path,
        *,
        stop: Stop | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Make a client.

        Args:
            settings: models, limits and prices.
            key: of the Gemini API.
            answers: folder that keeps the answers and the count of requests; both count towards the budget.
            stop: looked at before each request, and while it is waited for the next try; None for a run without one.
            sleep: waits between tries; None waits on `stop`.

        Raises:
            AgentError: the count of requests in that folder is damaged.
        """
        self._settings, self._key = settings, key
        self._stop = stop or Stop()
        self._sleep = sleep or self._stop.sleep
        self._redact = redactor(key)
        self._answers = Answers(answers, self._redact)
        self._budget = Budget(settings, answers / _LEDGER, self._answers.spent())
        self._dead: str | None = None

    def read(self, prompt: str, images: Sequence[Picture], schema: type[Schema]) -> Reply[Schema]:
        """Ask the text model about pictures, for an answer in the form of `schema`.

        Raises:
            GeminiError: no answer, or one that does not have that form.
        """
        model, form = self._settings.text_model, schema.model_json_schema()
        extra = {"response_mime_type": "application/json", "response_json_schema": form}
        extra |= {"max_output_tokens": _MOST_TOKENS_OUT["read"]}
        if _LEVELLED.match(model):
            extra["thinking_level"] = "low"
        answer = self._ask(model, prompt, images, extra, json.dumps(form, sort_keys=True))
        _refuse_nothing(answer, answer.text.strip())
        try:
            value = schema.model_validate_json(answer.text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole answer"
            cut = ", cut off at the token limit" if answer.finish == "MAX_TOKENS" else ""
            raise GeminiError(
                f"{answer.model} answered with malformed data ({where}: {first['msg']}{cut}).", usage=answer.usage
            ) from None
        return Reply(value=value, usage=answer.usage, model=answer.model)

    def draw(self, prompt: str, images: Sequence[Picture], *, attempt: int = 0) -> Reply[Picture]:
        """Ask the image model for a picture.

        Args:
            prompt: what to draw.
            images: what to draw it from.
            attempt: a further attempt with the same words is a new request, not the answer that was kept.

        Raises:
            GeminiError: no picture came, or one that cannot be read.
        """
        extra = {"response_modalities": [Modality.TEXT, Modality.IMAGE], "max_output_tokens": _MOST_TOKENS_OUT["draw"]}
        answer = self._ask(self._settings.image_model, prompt, images, extra, f"picture {attempt}")
        _refuse_nothing(answer, answer.images or answer.text.strip())
        if not answer.images:
            said = " ".join(answer.text.split())[:120]
            raise GeminiError(
                f'{answer.model} answered with words instead of a picture ("{said}").', usage=answer.usage
            )
        try:
            with Image.open(BytesIO(base64.b64decode(answer.images[-1]))) as image:
                value = np.array(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError):
            raise GeminiError(f"{answer.model} sent a picture that cannot be read.", usage=answer.usage) from None
        return Reply(value=value, usage=answer.usage, model=answer.model)

    def _ask(self, model: str, prompt: str, images: Sequence[Picture], extra: dict[str, Any], asked: str) -> Answer:
        pictures = [as_sent(image) for image in images]
        name = request_name(model, prompt, pictures, asked)
        kept = self._answers.find(name)
        if kept is not None:
            return kept
        parts = [{"type": "image_url", "image_url": f"data:image/png;base64,{as_png(p)}"} for p in pictures]
        message = HumanMessage(content=[{"type": "text", "text": prompt}, *parts])
        most = self._most_usd(prompt, images, drawing="response_modalities" in extra)
        answer = self._send(model, message, extra, most)
        self._answers.keep(name, answer)
        return answer

    def _send(self, model: str, message: HumanMessage, extra: dict[str, Any], most: float) -> Answer:
        """Send until an answer comes; give up at a lasting fault, after the last try, or where budget or run end."""
        spent, reason = Usage(), ""
        for tries in range(1, self._settings.attempts + 1):
            self._reserve(most, spent)
            try:
                answer = from_message(model, self._client(model).invoke([message], **extra), self._redact)
            except Exception as error:  # the client raises its own, the SDK's, httpx's and plain ValueErrors
                lost = Usage(calls=1, usd=0.0 if _unserved(error) else most)
                self._budget.settle(most, lost.usd)
                spent, reason = spent + lost, self._one_line(error)
                # Else the fault would have the keyframe painted offline, in a run that is to paint no more.
                self._stop.check(spent)
                self._refuse_lasting(model, error, reason, spent)
                if tries < self._settings.attempts:
                    self._sleep(self._pause(tries, reason))
                continue
            usage = self._priced(answer)
            self._budget.settle(most, usage.usd)
            return answer.model_copy(update={"usage": spent + usage})
        raise GeminiError(f"{model} did not answer after {spent.calls} tries ({reason}).", usage=spent)

    def _reserve(self, most: float, spent: Usage) -> None:
        self._stop.check(spent)
        if self._dead:
            raise GeminiError(self._dead, lasting=True, usage=spent)
        try:
            self._budget.reserve(most)
        except BudgetSpentError as error:
            raise self._fatal(f"Gemini is not called any more: {error}.", spent) from None

    def _refuse_lasting(self, model: str, error: Exception, reason: str, spent: Usage) -> None:
        code = _status(error)
        if code in (401, 403) or (code == 400 and "api key" in reason.lower()):
            raise self._fatal(f"The Gemini key in {VARIABLE} was refused ({code}).", spent) from None
        if code == 404:
            cure = "choose another with --text-model or --image-model"
            raise self._fatal(f"There is no Gemini model {model} (404); {cure}.", spent) from None
        if code is not None and not (code in (408, 429) or code >= 500):
            raise GeminiError(f"{model} refused the request ({reason}).", usage=spent) from None
        if spent.calls >= self._settings.attempts and _unreachable(error):
            raise self._fatal(f"Gemini cannot be reached ({reason}).", spent) from None

    def _fatal(self, message: str, usage: Usage) -> GeminiError:
        """Remember that no further call makes sense, so that ten keyframes do not wait for the same fault.

        The first fault is the one that is said: keyframes side by side may meet it in other words.
        """
        self._dead = self._dead or message
        return GeminiError(self._dead, lasting=True, usage=usage)

    def _client(self, model: str) -> ChatGoogleGenerativeAI:
        return ChatGoogleGenerativeAI(
            model=model,
            google_api_key=self._key,
            base_url=self._settings.base_url,
            timeout=self._settings.timeout_s,
            max_retries=1,
        )

    def _pause(self, tries: int, reason: str) -> float:
        asked = re.search(r"retryDelay\W+(\d+(?:\.\d+)?)s", reason)
        wait = self._settings.backoff_s * 2 ** (tries - 1)
        return min(max(wait, float(asked.group(1)) if asked else 0.0), _LONGEST_PAUSE_S)

    def _priced(self, answer: Answer) -> Usage:
        """What one answer cost, rather too much: the tokens of a picture count beside its own price."""
        s, tokens = self._settings, answer.usage
        usd = (tokens.tokens_in * s.usd_per_million_in + tokens.tokens_out * s.usd_per_million_out) / 1e6
        total = round(usd + len(answer.images) * s.usd_per_image, 6)
        return tokens.model_copy(update={"calls": 1, "usd": total})

    def _most_usd(self, prompt: str, images: Sequence[Picture], *, drawing: bool) -> float:
        s = self._settings
        sent = (len(prompt) / 2 + _TOKENS_PER_IMAGE * len(images)) * s.usd_per_million_in / 1e6
        received = _MOST_TOKENS_OUT["draw" if drawing else "read"] * s.usd_per_million_out / 1e6
        return sent + (s.usd_per_image if drawing else 0.0) + received

    def _one_line(self, error: BaseException) -> str:
        return self._redact(" ".join(str(error).split()))[:300] or type(error).__name__


def _refuse_nothing(answer: Answer, usable: object) -> None:
    if answer.blocked:
        raise GeminiError(f"{answer.model} blocked the request ({answer.blocked}).", usage=answer.usage)
    if usable:
        return
    if answer.finish not in ("", "STOP", "MAX_TOKENS"):
        raise GeminiError(f"{answer.model} stopped its answer ({answer.finish}).", usage=answer.usage)
    raise GeminiError(f"{answer.model} sent an empty answer.", usage=answer.usage)


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error, found along its causes."""
    while error is not None:
        code = getattr(error, "code", None)
        if isinstance(code, int):
            return code
        error = error.__cause__
    return None


def _unserved(error: BaseException) -> bool:
    """Whether the request cost nothing for sure: it was turned down, or never arrived."""
    return (_status(error) or 0) >= 400 or _unreachable(error)


def _unreachable(error: BaseException | None) -> bool:
    """Whether no connection came about; by name, since google-genai 2 sends with httpx and 3 with httpx2."""
    while error is not None:
        if not {"ConnectError", "ConnectTimeout"}.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False
