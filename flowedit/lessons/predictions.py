"""What a reader predicted before a lesson, kept until its end."""

import json

from platformdirs import user_data_path

from flowedit.files import write_text
from flowedit.lessons.card import Card

_FILE = user_data_path("flowedit") / "predictions.json"


def predict(number: str, *answers: str) -> Card:
    """Keep the answers to a lesson's first questions; nothing is kept while all are empty."""
    if not any(answers):
        return Card(
            "… Your predictions", "Type an answer between each pair of quotes, then run this cell again.", "#8A8A8A"
        )
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    write_text(_FILE, json.dumps({**_kept(), number: answers}))
    return Card("✓ Kept", "They come back at the end of the lesson.")


def recall(number: str) -> Card:
    """The reader's own predictions for a lesson, to read beside its answers."""
    answers = _kept().get(number)
    if not answers:
        return Card("… Your predictions", "You typed none at the beginning of this lesson.", "#8A8A8A")
    said = "  ".join(f"({i}) {answer or 'nothing'}" for i, answer in enumerate(answers, 1))
    return Card("You predicted", said, "#0072B2")


def _kept() -> dict[str, list[str]]:
    return json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.is_file() else {}
