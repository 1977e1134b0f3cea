"""Calls to Gemini through langchain-google-genai: tried again when the server is busy, paid for once."""

import base64
import hashlib
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from langchain_core.messages import AIMessage, HumanMessage
from langchain_google_genai import ChatGoogleGenerativeAI, Modality
from PIL import Image
from pydantic import BaseModel, SecretStr, ValidationError

from flowedit.agent.cancel import Cancel, within
from flowedit.agent.card import shrink
from flowedit.agent.colour import Picture
from flowedit.agent.events import Event, Usage
from flowedit.agent.ledger import Answer, BudgetSpentError, Ledger
from flowedit.agent.settings import KEY_VARIABLE, GeminiSettings, redactor
from flowedit.errors import AgentError
from flowedit.media.images import FORMATS

Schema = TypeVar("Schema", bound=BaseModel)

_LONGEST_SIDE = 1280
"""Pixels of the longer side of a picture that is sent, at most."""
_TOKENS_PER_IMAGE = 1300
_READ, _DRAW = 8192, 4096
"""Tokens that a model may answer at most, its thoughts included; a reading is 1000, but models think beforehand."""
_LEVELLED = re.compile(r"(models/)?gemini-(3|[4-9]|\d\d)")
"""Models that take a level of thinking; earlier ones refuse the word, and think within the limit."""
_LONGEST_PAUSE_S = 60.0


class GeminiError(AgentError):
    """A call that gave nothing usable; `lasting` where every further call would fail in the same way."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True)
class _Request:
    """Who is asked, in what words, for what kind of answer, about which pictures, with which options of the API."""

    model: str
    prompt: str
    asked: str
    pictures: Sequence[Picture]
    options: dict[str, Any]

    def name(self) -> str:
        """The same for the same request; the pixels of its pictures count, not how they are packed."""
        seen = [[*p.shape, hashlib.sha256(np.ascontiguousarray(p).data).hexdigest()] for p in self.pictures]
        return hashlib.sha256(json.dumps([self.model, self.prompt, seen, self.asked]).encode()).hexdigest()[:32]

    def message(self) -> HumanMessage:
        """The words, then the pictures."""
        urls = (f"data:image/png;base64,{_as_png(picture)}" for picture in self.pictures)
        pictures = [{"type": "image_url", "image_url": url} for url in urls]
        return HumanMessage(content=[{"type": "text", "text": self.prompt}, *pictures])

    def most_usd(self, prices: GeminiSettings) -> float:
        """What it may cost at most."""
        sent = len(self.prompt) / 2 + _TOKENS_PER_IMAGE * len(self.pictures)
        tokens = sent * prices.usd_per_million_in + self.options["max_output_tokens"] * prices.usd_per_million_out
        return tokens / 1e6 + (prices.usd_per_image if "response_modalities" in self.options else 0.0)


class Gemini:
    """A client for one run; its methods may be called from several threads.

    What a call took goes into the event that it is handed, also where it gives nothing usable: it is paid for too.
    """

    def __init__(self, settings: GeminiSettings, key: SecretStr, folder: Path, cancel: Cancel | None = None) -> None:
        """Make a client whose answers and count of requests, both of which the budget heeds, lie in a folder.

        `cancel` is looked at before each request, and while it is waited for the next try.
        """
        self.settings, self._key, self._cancel = settings, key, cancel or Cancel()
        self._redact = redactor(key)
        # They repeat a server's words, in which it may echo the key; what matters of them is said here, without it.
        warnings.filterwarnings("ignore", module=r"google\.genai")
        for library in ("google_genai", "langchain_google_genai"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._ledger = Ledger(folder, settings, self._redact)
        self._dead: str | None = None

    def read(self, prompt: str, images: Sequence[Picture], schema: type[Schema], event: Event) -> Schema:
        """Ask the text model about pictures; no answer, or one not in the form of `schema`, is a `GeminiError`."""
        model, form = self.settings.text_model, schema.model_json_schema()
        options = {"response_mime_type": "application/json", "response_json_schema": form, "max_output_tokens": _READ}
        if _LEVELLED.match(model):
            options["thinking_level"] = "low"
        answer = self._ask(_Request(model, prompt, json.dumps(form, sort_keys=True), _shrunk(images), options), event)
        _refuse_nothing(answer, answer.text.strip())
        try:
            return schema.model_validate_json(answer.text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole answer"
            cut = ", cut off at the token limit" if answer.finish == "MAX_TOKENS" else ""
            raise GeminiError(f"{model} answered with malformed data ({where}: {first['msg']}{cut}).") from None

    def draw(self, prompt: str, images: Sequence[Picture], event: Event, *, attempt: int = 0) -> Picture:
        """Ask the image model for a picture drawn from others; none, or one that cannot be read, is a `GeminiError`.

        A further attempt with the same words is a new request, not the answer that was kept.
        """
        model = self.settings.image_model
        options = {"response_modalities": [Modality.TEXT, Modality.IMAGE], "max_output_tokens": _DRAW}
        answer = self._ask(_Request(model, prompt, f"picture {attempt}", _shrunk(images), options), event)
        _refuse_nothing(answer, answer.images or answer.text.strip())
        if not answer.images:
            said = " ".join(answer.text.split())[:120]
            raise GeminiError(f'{model} answered with words instead of a picture ("{said}").')
        try:
            with Image.open(BytesIO(base64.b64decode(answer.images[-1])), formats=FORMATS) as image:
                return np.array(image.convert("RGB"))
        except MemoryError:
            raise
        except Exception:  # a damaged picture leads Pillow's decoders to any
            raise GeminiError(f"{model} sent a picture that cannot be read.") from None

    def _ask(self, request: _Request, event: Event) -> Answer:
        event.prompt, name = request.prompt, request.name()
        if (kept := self._ledger.find(name)) is not None:
            event.usage += kept.usage
            return kept
        answer = self._send(request, event)
        self._ledger.keep(name, answer)
        return answer

    def _send(self, request: _Request, event: Event) -> Answer:
        """Send until an answer comes; give up at a lasting fault, after the last try, or where budget or run end."""
        s, most, message, spent, reason = self.settings, request.most_usd(self.settings), request.message(), Usage(), ""
        client = ChatGoogleGenerativeAI(
            model=request.model,
            google_api_key=self._key,
            base_url=s.base_url,
            timeout=s.timeout_s,
            max_retries=1,
            client_args={"follow_redirects": False},  # the key goes to nobody else
        )
        for tries in range(1, s.attempts + 1):
            self._reserve(most)
            try:
                said = within(s.timeout_s, lambda: client.invoke([message], **request.options))
                answer = _from_message(request.model, said, self._redact)
            except Exception as error:  # the client raises its own, the SDK's, httpx's and plain ValueErrors
                spent += self._paid(most, Usage(calls=1, usd=0.0 if _unserved(error) else most), event)
                reason = self._redact(" ".join(str(error).split()))[:300] or type(error).__name__
                # Else the fault would have the keyframe painted offline, in a run that is to paint no more.
                self._cancel.check()
                self._refuse_lasting(request.model, error, reason, last=tries == s.attempts)
                if tries < s.attempts:
                    self._cancel.sleep(self._pause(tries, error, reason))
            else:
                spent += self._paid(most, self._priced(answer), event)
                return answer.model_copy(update={"usage": spent})
        raise GeminiError(f"{request.model} did not answer after {s.attempts} tries ({reason}).")

    def _reserve(self, most: float) -> None:
        self._cancel.check()
        if self._dead:
            raise GeminiError(self._dead, lasting=True)
        try:
            self._ledger.reserve(most)
        except BudgetSpentError as error:
            raise self._lasting(f"Gemini is not called any more: {error}.") from None

    def _paid(self, reserved: float, usage: Usage, event: Event) -> Usage:
        """What a request cost, settled, and booked on the node that asked."""
        self._ledger.settle(reserved, usage.usd)
        event.usage += usage
        return usage

    def _refuse_lasting(self, model: str, error: Exception, reason: str, *, last: bool) -> None:
        code = _status(error)
        if code in (401, 403) or (code == 400 and "api key" in reason.lower()):
            raise self._lasting(f"The Gemini key in {KEY_VARIABLE} was refused ({code}).") from None
        if code == 404:
            cure = "choose another with --text-model or --image-model"
            raise self._lasting(f"There is no Gemini model {model} (404); {cure}.") from None
        if code is not None and 300 <= code < 400:
            raise self._lasting(f"Gemini's server sends requests on to another ({code}), which is refused.") from None
        if code is not None and not (code in (408, 429) or code >= 500):
            raise GeminiError(f"{model} refused the request ({reason}).") from None
        if last and _unreachable(error):
            raise self._lasting(f"Gemini cannot be reached ({reason}).") from None

    def _lasting(self, message: str) -> GeminiError:
        """Remember that no further call makes sense, and say the first fault that showed it in every keyframe."""
        self._dead = self._dead or message
        return GeminiError(self._dead, lasting=True)

    def _pause(self, tries: int, error: Exception, reason: str) -> float:
        """Seconds before the next try: doubled each time, or as long as the server asks, if not too long."""
        asked = _asked_pause(error, reason)
        if asked > _LONGEST_PAUSE_S:
            raise GeminiError(
                f"Gemini asks to be called again in {asked:.0f} s, too long to wait ({reason})."
            ) from None
        return max(min(self.settings.backoff_s * 2 ** (tries - 1), _LONGEST_PAUSE_S), asked)

    def _priced(self, answer: Answer) -> Usage:
        """What one answer cost, rather too much: the tokens of a picture count beside its own price."""
        s, tokens = self.settings, answer.usage
        usd = (tokens.tokens_in * s.usd_per_million_in + tokens.tokens_out * s.usd_per_million_out) / 1e6
        total = round(usd + len(answer.images) * s.usd_per_image, 6)
        return tokens.model_copy(update={"calls": 1, "usd": total})


def _shrunk(images: Sequence[Picture]) -> list[Picture]:
    return [shrink(image, _LONGEST_SIDE) for image in images]


def _as_png(image: Picture) -> str:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()


def _from_message(model: str, message: AIMessage, redact: Callable[[object], str]) -> Answer:
    """What a chat message holds, cleaned by `redact`; its usage has the tokens, not yet the price."""
    blocks = message.content if isinstance(message.content, list) else [message.content]
    pictures = [block for block in blocks if isinstance(block, dict) and block.get("type") == "image_url"]
    words = [block if isinstance(block, str) else str(block.get("text", "")) for block in blocks]
    about, tokens = message.response_metadata or {}, message.usage_metadata
    blocked = (about.get("prompt_feedback") or {}).get("block_reason") or ""
    return Answer(
        model=model,
        text=redact("".join(words)),
        images=[picture["image_url"]["url"].partition("base64,")[2] for picture in pictures],
        finish=redact(about.get("finish_reason") or ""),
        blocked=redact(getattr(blocked, "value", blocked)),
        usage=Usage(tokens_in=tokens["input_tokens"], tokens_out=tokens["output_tokens"]) if tokens else Usage(),
    )


def _refuse_nothing(answer: Answer, usable: object) -> None:
    if answer.blocked:
        raise GeminiError(f"{answer.model} blocked the request ({answer.blocked}).")
    if not usable:
        stopped = answer.finish not in ("", "STOP", "MAX_TOKENS")
        said = f"stopped its answer ({answer.finish})" if stopped else "sent an empty answer"
        raise GeminiError(f"{answer.model} {said}.")


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error."""
    codes = (getattr(cause, "code", None) for cause in _causes(error))
    return next((code for code in codes if isinstance(code, int)), None)


def _asked_pause(error: BaseException, reason: str) -> float:
    """Seconds for which a server asks to be left alone, by its header or in its words; 0 where it does not."""
    headers = (getattr(getattr(cause, "response", None), "headers", {}) for cause in _causes(error))
    asked = next((said for each in headers if (said := each.get("Retry-After"))), "")
    with suppress(TypeError, ValueError):  # a date, or nothing known
        return max((parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds(), 0.0)
    words = re.fullmatch(r"\s*(\d+)\s*", asked) or re.search(r"retryDelay\W+(\d+(?:\.\d+)?)s", reason)
    return float(words[1]) if words else 0.0


def _unserved(error: BaseException) -> bool:
    """Whether the request cost nothing for sure: it was turned down, or never arrived."""
    return (_status(error) or 0) >= 400 or _unreachable(error)


def _unreachable(error: BaseException) -> bool:
    """Whether no connection came about; by name, since google-genai 2 sends with httpx and 3 with httpx2."""
    names = {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    return not names.isdisjoint({"ConnectError", "ConnectTimeout"})


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
