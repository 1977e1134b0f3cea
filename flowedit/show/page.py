"""The one HTML page of this package: it carries what it shows, and asks for nothing from outside."""

import html
from pathlib import Path

from flowedit.files import write_text

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
"""Content security policy of a page without scripts: the browser itself refuses every request."""
SCRIPTED = f"{POLICY}; script-src 'unsafe-inline'"
"""The same for a page that carries scripts."""
STYLE = """
:root { color-scheme: light dark; --ink: #202124; --soft: #5f6368; --line: #8886; --accent: #c2571a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa0a6; --accent: #f08a4b; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 64rem; }
h1 { font-size: 1.4rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
img { max-width: 100%; height: auto; }
video { width: min(100%, 48rem); height: auto; }
figure { margin: 0; }
figcaption, caption, .lead { color: var(--soft); text-align: left; }
table { border-collapse: collapse; margin: 0.8rem 0; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""
"""What every page starts from: light and dark, readable widths, plain tables."""


def page(title: str, body: str, css: str = STYLE, *, head: str = "", heading: bool = True, policy: str = POLICY) -> str:
    """A complete HTML document.

    Args:
        title: its title and heading, plain text.
        body: HTML of everything below the heading, scripts included.
        css: its whole stylesheet; `STYLE + more` to add to the usual one.
        head: more HTML for the head.
        heading: whether the title is also the heading; a body with an `<h1>` of its own does without.
        policy: content security policy; `SCRIPTED` for a body with scripts.

    Example:
        >>> "<h1>a &lt; b</h1><p>text</p>" in page("a < b", "<p>text</p>")
        True
    """
    name = html.escape(title)
    top = f"<h1>{name}</h1>" if heading else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title>{head}<style>{css}</style></head><body><main>{top}{body}</main></body></html>"
    )


def write_page(text: str, path: str | Path | None) -> str:
    """`text`, also written to the file `path` unless that is None."""
    if path is not None:
        write_text(Path(path), text)
    return text
