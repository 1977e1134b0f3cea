"""Answers of a model, kept in the run's folder before they are used, and read back instead of being paid for twice.

The file's name is made from the request, so the same request finds its answer, after a kill as well as in a test that
replays recorded answers. What a file holds is the answer alone, never the request's headers.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from langchain_core.messages import AIMessage
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from flowedit.agent.card import shrink
from flowedit.agent.events import Usage

Picture = UInt8[np.ndarray, "_H _W 3"]

_LONGEST_SIDE = 1280


class Answer(BaseModel):
    """One answer.

    Attributes:
        model: who answered.
        text: its words.
        images: its pictures, base64.
        finish: why it stopped, in the API's word.
        blocked: why the request was blocked, in the API's word; empty where it was not.
        usage: what it took, tries included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    text: str
    images: list[str]
    finish: str
    blocked: str
    usage: Usage


class Answers:
    """The answers of one run."""

    def __init__(self, folder: Path, redact: Callable[[str], str]) -> None:
        """Keep answers in `folder`, with `redact` applied to what is written."""
        self._folder, self._redact = folder, redact

    def find(self, name: str) -> Answer | None:
        """The answer kept under that name; a damaged file counts as none."""
        try:
            return Answer.model_validate_json((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError):
            return None

    def keep(self, name: str, answer: Answer) -> None:
        """Write an answer, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{name}.part"
        part.write_text(self._redact(answer.model_dump_json(indent=1)), encoding="utf-8")
        part.replace(self._folder / f"{name}.json")

    def spent(self) -> Usage:
        """What all kept answers took together: where the budget of a resumed run starts."""
        kept = (self.find(path.stem) for path in sorted(self._folder.glob("*.json")))
        return sum((answer.usage for answer in kept if answer is not None), Usage())


def request_name(model: str, prompt: str, pictures: Sequence[Picture], asked: str) -> str:
    """A name that is the same for the same request.

    Args:
        model: who is asked.
        prompt: the words.
        pictures: as they are sent; their pixels count, not how they are packed.
        asked: what kind of answer, and the how manieth.
    """
    seen = [[*picture.shape, hashlib.sha256(np.ascontiguousarray(picture).data).hexdigest()] for picture in pictures]
    return hashlib.sha256(json.dumps([model, prompt, seen, asked]).encode()).hexdigest()[:32]


def as_sent(image: Picture) -> Picture:
    """A picture at the size in which it is sent: at most 1280 pixels on the longer side."""
    return shrink(image, _LONGEST_SIDE)


def as_png(image: Picture) -> str:
    """A picture as PNG, base64."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()


def from_message(model: str, message: AIMessage, redact: Callable[[str], str]) -> Answer:
    """What a chat message holds, cleaned by `redact`; its usage has the tokens, not yet the price."""
    blocks = message.content if isinstance(message.content, list) else [message.content]
    images = [
        block["image_url"]["url"].partition("base64,")[2]
        for block in blocks
        if isinstance(block, dict) and block.get("type") == "image_url"
    ]
    words = [block if isinstance(block, str) else str(block.get("text", "")) for block in blocks]
    about = message.response_metadata or {}
    tokens = message.usage_metadata
    blocked = (about.get("prompt_feedback") or {}).get("block_reason") or ""
    return Answer(
        model=model,
        text=redact("".join(words)),
        images=images,
        finish=str(about.get("finish_reason") or ""),
        blocked=str(getattr(blocked, "value", blocked)),
        usage=Usage(
            tokens_in=tokens["input_tokens"] if tokens else 0, tokens_out=tokens["output_tokens"] if tokens else 0
        ),
    )
