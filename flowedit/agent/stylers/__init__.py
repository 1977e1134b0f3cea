"""The offline looks. Adding one is a new file with a `LOOK` and its name here."""

import re

from flowedit.agent.card import Look
from flowedit.agent.stylers import anime, comic, neon, oil, pencil, transfer, vintage, watercolour
from flowedit.errors import SettingError

LOOKS: dict[str, Look] = {
    module.LOOK.name: module.LOOK for module in (anime, comic, neon, oil, pencil, transfer, vintage, watercolour)
}
"""Every look by name."""


def look_named(name: str) -> Look:
    """The look of that name, or of one of its other words, in any case; any other is refused with a list of names.

    >>> look_named("Watercolor").name
    'watercolour'
    """
    wanted = " ".join(name.lower().split())
    for look in LOOKS.values():
        if wanted in (look.name, look.title.lower(), *look.words):
            return look
    raise SettingError(f'No look is named "{name}"; choose one of {", ".join(LOOKS)}.')


def find_look(description: str) -> Look | None:
    """The look that a description means, by the longest of its words found in it; None where none is.

    >>> find_look("a soft Aquarelle of the sea").name
    'watercolour'
    """
    text, words = description.lower(), [(word, look) for look in LOOKS.values() for word in (look.name, *look.words)]
    hits = [(len(word), look.name) for word, look in words if re.search(rf"\b{re.escape(word)}\b", text)]
    return LOOKS[max(hits)[1]] if hits else None
