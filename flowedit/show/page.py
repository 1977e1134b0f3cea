"""The one HTML page of this package: it carries what it shows, and asks for nothing from outside."""

import html
from pathlib import Path

from flowedit.files import write_text

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
"""Content security policy of a page without scripts: the browser itself refuses every request."""
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
"""What pages of results start from: light and dark, readable widths, plain tables."""


def document(title: str, main: str, *, head: str, tail: str = "", policy: str = POLICY) -> str:
    """A complete HTML document with a plain title.

    Args:
        title: its title.
        main: HTML of what a reader sees, its heading too.
        head: HTML of its styles.
        tail: HTML of its scripts, which `policy`, its content security policy, must allow.
        policy: what the browser lets it do.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>{head}</head><body><main>{main}</main>{tail}</body></html>"
    )


def page(title: str, body: str, css: str = "") -> str:
    """A page of results under its plain title; `css` is added to the usual `STYLE`."""
    return document(title, f"<h1>{html.escape(title)}</h1>{body}", head=f"<style>{STYLE}{css}</style>")


def write_page(text: str, path: str | Path | None) -> str:
    """`text`, also written to the file `path` unless that is None."""
    if path is not None:
        write_text(Path(path), text)
    return text
