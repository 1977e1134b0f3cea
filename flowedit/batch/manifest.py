"""What a batch is to do: one clip a line, in JSON Lines or CSV or by a rule of folders, over settings common to all."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from flowedit.errors import FlowEditError, SettingError
from flowedit.models import check_loras
from flowedit.presets import preset_settings
from flowedit.run.inputs import pair_keyframes
from flowedit.run.request import CALLED, FOUND_OUT, STYLE, EditRequest
from flowedit.settings import EditSettings

Rows = list[tuple[int, Any]]
"""Names and values of each line, with its number."""
Faults = list[tuple[int, str]]
"""A sentence for each line at fault, with its number."""


def _split(by: str) -> BeforeValidator:
    return BeforeValidator(lambda value: value.lower().split(by) if isinstance(value, str) else value)


class _Own(BaseModel):
    """What a line says beside its settings."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    id: str | None = Field(None, pattern=r"^\w[\w .-]*$")
    video: Path
    keyframes: dict[int, Path] | list[Path] | Path | None = None
    at: Annotated[list[int] | None, _split(",")] = None
    style: str | None = None
    style_image: Path | None = None
    describe: str | None = None
    backend: str = "auto"
    preset: str = "default"
    size: Annotated[tuple[int, int] | None, _split("x")] = None
    loras: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = []


_GAIN = {"alpha": float, "kappa": float, "gain": Literal["exact", "euler"]}
_HINTS = {**get_type_hints(EditSettings), **_GAIN}
_SETTINGS: dict[str, Any] = {name: (hint | None, None) for name, hint in _HINTS.items()}
_REQUEST: dict[str, Any] = {
    one.name: (one.type, one.default)
    for one in fields(EditRequest)
    if one.name not in FOUND_OUT and one.name not in _Own.model_fields and not isinstance(one.type, str)
}
_Line: type[_Own] = create_model("_Line", __base__=_Own, **_REQUEST, **_SETTINGS)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip of a batch: its line, its name, and its edit, without keyframes where `style` says what to paint."""

    line: int
    id: str
    request: EditRequest
    style: Mapping[str, Any]


def read_rows(path: Path) -> tuple[Path, Rows]:
    """The folder of a manifest and its lines: JSON Lines, or CSV where its name says so."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read ({error}); give JSON Lines or CSV, one clip a line.") from None
    if path.suffix.lower() != ".csv":
        return path.parent, [(i, line) for i, line in enumerate(StringIO(text), start=1) if line.strip()]
    reader = csv.DictReader(StringIO(text))
    return path.parent, [(reader.line_num, {name: value for name, value in row.items() if value}) for row in reader]


def find_rows(pattern: str, keyframes: str | None) -> tuple[Path, Rows]:
    """The folder that a pattern such as `in/**/*.mp4` begins in, and every file that it matches, as rows.

    `keyframes` are those of each, from its own folder, `{stem}` being its name without the suffix. Where nothing
    matches, there is a `SettingError`.
    """
    parts = Path(pattern).absolute().parts
    fixed = next((i for i, part in enumerate(parts) if "*" in part or "?" in part), len(parts) - 1)
    base = Path(*parts[:fixed])
    videos = sorted(path for path in base.glob(str(Path(*parts[fixed:]))) if path.is_file())
    if not videos:
        raise SettingError(f"--clips {pattern!r} matches no file; quote it, and give a pattern such as 'in/**/*.mp4'.")
    places = [{"keyframes": video.parent / keyframes.format(stem=video.stem)} if keyframes else {} for video in videos]
    return base, [(i, {"video": v, **place}) for i, (v, place) in enumerate(zip(videos, places, strict=True), start=1)]


def entries_of(
    base: Path, rows: Rows, out: Path, common: Mapping[str, Any], *, mirror: bool = False
) -> tuple[list[Entry], Faults]:
    """The clips of a batch, and the lines that name none.

    Args:
        base: folder that the manifest's paths are relative to.
        rows: of the manifest.
        out: folder for the results, each in a folder named after the clip.
        common: what stands where a line says nothing, in the words of a line.
        mirror: results lie in `out` as the videos do in `base`.
    """
    entries: list[Entry] = []
    faults = Faults() if rows else [(0, "there is no clip in it; write one a line.")]
    for number, row in rows:
        try:
            entries.append(_entry(number, _line_of(row, common), base, (out, mirror)))
        except FlowEditError as error:
            faults.append((number, f"line {number}: {error}"))
    seen = Counter(entry.id for entry in entries)
    twice = (entry for entry in entries if seen[entry.id] > 1)
    return entries, [*faults, *((e.line, f"line {e.line}: the id {e.id} is there twice; give ids.") for e in twice)]


def _line_of(row: Any, common: Mapping[str, Any]) -> _Own:  # noqa: ANN401 - what the user wrote
    names = {option.replace("-", "_"): name for name, option in CALLED.items() if name != "form"}
    try:
        row = json.loads(row) if isinstance(row, str) else row
        own = {names.get(key.replace("-", "_"), key.replace("-", "_")): value for key, value in row.items()}
        painted = {"keyframes", "at", *STYLE}  # a line that says where its keyframes come from says it whole
        left_out = painted if painted & own.keys() else ()
        return _Line(**{**{name: value for name, value in common.items() if name not in left_out}, **own})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, said = str(first["loc"][0]), f"{first['msg'][0].lower()}{first['msg'][1:]}"
        raise SettingError(f"{CALLED.get(name, name)} is {first['input']!r}: {said}.") from None
    except (ValueError, AttributeError):
        raise SettingError(f'{row!r} is no line; write it as {{"video": "a.mp4", "keyframes": "a/"}}.') from None


def _entry(number: int, line: _Own, base: Path, where: tuple[Path, bool]) -> Entry:
    said = line.model_dump()
    style = {name: said[name] for name in STYLE}
    painted = any(style[name] is not None for name in STYLE[:3])
    if painted == (line.keyframes is not None):
        raise SettingError("give keyframes, or a style to paint them in, one of the two.")
    if line.style_image is not None:
        style["style_image"] = base / line.style_image
    given = {name: said[name] for name in _SETTINGS if said[name] is not None}
    request = {name: said[name] for name in ("video", "size", *_REQUEST)}
    request |= {name: base / request[name] for name in ("video", "mask") if request[name] is not None}
    (out, mirror), name = where, line.id or line.video.stem
    if mirror:
        if not request["video"].resolve().is_relative_to(base.resolve()):
            raise SettingError(f"{line.video} lies outside {base}, whose folders --mirror repeats.")
        name = str(request["video"].resolve().relative_to(base.resolve()).parent / name)
    settings = preset_settings(request["model"], line.preset, **given)
    return Entry(
        line=number,
        id=name,
        style=style if painted else {},
        request=EditRequest(
            **request,
            keyframes=() if painted else _keyframes(line, base, said["every"]),
            output=out / name,
            settings=settings,
            loras=[each.lora for each in check_loras(request["model"], line.loras, settings.method)],
        ),
    )


def _keyframes(line: _Own, base: Path, every: int) -> list[tuple[int, Path]]:
    places, at = line.keyframes, line.at
    if isinstance(places, dict):
        at, places = zip(*sorted(places.items()), strict=True) if places else ((), ())
    elif not isinstance(places, list):
        places = [places or base]
    return pair_keyframes([base / place for place in places], at, every)
