"""Tables that a command puts into a page of the documentation, between two marks, so that nobody types a number."""

from pathlib import Path

from flowedit.errors import OutputError
from flowedit.files import write_text


def fill_page(page: Path, command: str, text: str) -> None:
    """Replace what stands between the marks of a command in a page.

    Args:
        page: the file.
        command: what writes the table; it is named in the marks.
        text: Markdown.

    Raises:
        OutputError: the page is not there, has no marks of that command, or cannot be written.
    """
    begin, end = marks(command)
    try:
        before, rest = page.read_text(encoding="utf-8").split(begin)
        _, after = rest.split(end)
    except (OSError, ValueError):
        raise OutputError(f"{page} has no place for the table; put the lines {begin} and {end} into it.") from None
    write_whole(page, f"{before}{begin}\n{text.strip()}\n{end}{after}")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it appears whole or not at all; its folder is made if need be.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, text)


def marks(command: str) -> tuple[str, str]:
    """The lines between which the table of a command stands."""
    return f"<!-- made by `{command}` -->", f"<!-- end of `{command}` -->"
