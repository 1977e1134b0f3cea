"""What a batch leaves beside its clips: a page of all of them, and the failures for the next look."""

import html
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from flowedit.batch.manifest import Entry
from flowedit.batch.record import Record
from flowedit.files import make_folder, write_text
from flowedit.runfolder import REPORT, SHEET
from flowedit.show.page import POLICY, STYLE, document

INDEX, FAILURES = "index.html", "failures.jsonl"
_COLUMNS = ("clip", "state", "seconds", "starts", "node", "result")
# Contact sheets lie beside the page: thousands of them inside it would be too much.
_CSS = """
body { max-width: 80rem; } main { overflow-x: auto; } a { color: inherit; }
td, thead th { white-space: nowrap; } tbody th { min-width: 8rem; overflow-wrap: anywhere; }
td:last-child { white-space: normal; min-width: 20rem; } td img { height: 9rem; max-width: none; display: block; }
.quarantined, .failed { color: var(--accent); } .waiting, .skipped { color: var(--soft); }
"""
_POLICY = POLICY.replace("img-src data:", "img-src 'self' file: data:")


def write_index(out: Path, entries: Sequence[Entry], records: Mapping[str, Record]) -> Path:
    """Write `failures.jsonl` and `index.html`, from the record of each clip by its id; the page's path."""
    pairs = [(entry, records[entry.id]) for entry in entries]
    failed = (
        {"line": e.line, "id": r.id, "failures": r.failures, "reason": r.reason}
        for e, r in pairs
        if r.state == "quarantined"
    )
    write_text(make_folder(out) / FAILURES, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in failed))
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(_row(quote(Path(os.path.relpath(e.request.output, out)).as_posix()), r) for e, r in pairs)
    caption = f"<caption>{summary(records.values())}</caption>"
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    title = f"{len(records)} clips"
    text = document(title, f"<h1>{title}</h1>{table}", head=f"<style>{STYLE}{_CSS}</style>", policy=_POLICY)
    return write_text(out / INDEX, text)


def summary(records: Iterable[Record]) -> str:
    """How many clips are in which state, in words: `2 done, 1 quarantined`."""
    return ", ".join(f"{count} {state}" for state, count in Counter(record.state for record in records).most_common())


def _row(folder: str, record: Record) -> str:
    name, image = html.escape(record.id), ""
    if record.state in ("done", "skipped"):
        image = f'<img loading="lazy" alt="Frames of {name}" src="{folder}/{SHEET}">'
        name = f'<a href="{folder}/{REPORT}">{name}</a>'
    took, said = f"{record.seconds:.1f}" if record.seconds else "", image + html.escape(record.reason)
    cells = record.state, took, record.starts or "", html.escape(record.node), said
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="{record.state}"><th scope="row">{name}</th>{row}</tr>'
