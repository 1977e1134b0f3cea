"""docs/method.md and docs/edit.md say what the code does: names, presets, formulas, listings, pictures are checked."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from symtable import symtable
from typing import get_args

import pytest
import torch
from latex2mathml.converter import convert
from oracles import point_problem

from flowedit import settings as config
from flowedit.correction import Euler, Exact
from flowedit.methods.branches import EditProblem
from flowedit.methods.coupled import coupled
from flowedit.methods.difference import difference
from flowedit.presets import preset_settings
from flowedit.schedule import wan_sigmas
from flowedit.settings import EditSettings
from flowedit.trace import READINGS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / name for name in ("method.md", "edit.md")]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.S)
SECTIONS = re.split(r"^(?=## )", PROSE, flags=re.M)
FORMULAS = [block or inline for block, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", PROSE, flags=re.S)]
LISTINGS = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, flags=re.S))
SETTINGS = set(EditSettings().to_dict())
PRESETS = {"default", "draft", "method"}
COLUMNS = (("tiny", "default"), ("tiny", "method"), ("1.3B", "default"))
EATEN = re.compile(r"\\operatorname|\\[^a-zA-Z]")
"""What GitHub's Markdown forbids or takes from a formula: backslashes before anything but a letter."""


def choices(setting):
    """Values that a setting in words takes."""
    name = "Encoding" if setting == "keyframe_encoding" else setting.capitalize()
    return set(get_args(getattr(config, name, None)))


@cache
def defined(module):
    """Names that a module's file defines itself, those of its classes with the class before them."""
    top = symtable((ROOT / module).read_text(encoding="utf-8"), module, "exec")
    classes = [inner for inner in top.get_children() if inner.get_type() == "class"]
    return own(top) | {f"{inner.get_name()}.{name}" for inner in classes for name in own(inner)}


def own(table):
    return {s.get_name() for s in table.get_symbols() if (s.is_assigned() or s.is_annotated()) and not s.is_imported()}


def unresolved(section):
    """What stands in backticks and is no file, setting or value of one, and not defined by the section's files."""
    tokens = set(re.findall(r"`([^`\n]+)`", section))
    files = {token for token in tokens if "/" in token}
    wrong = {file for file in files if not (ROOT / file).is_file()}
    known = {name for file in files - wrong if file.endswith(".py") for name in defined(file)}
    known |= SETTINGS | PRESETS | set(READINGS) | {value for setting in SETTINGS for value in choices(setting)}
    for token in tokens - files:
        setting, _, value = token.partition("=")
        wrong |= {token} - known if not value else set() if value.strip('"') in choices(setting) else {token}
    return wrong


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_every_name_is_defined_where_its_section_says(section):
    """Catches a function that was renamed or moved, a setting that went, and a name filed under the wrong module."""
    assert not unresolved(section)
    assert unresolved("`flowedit/keyframes.py` has `encode_keyframes`") == {"encode_keyframes"}
    assert unresolved('`flowedit/flow.py`: `fill="gues"`, `flowedit/flown.py`') == {'fill="gues"', "flowedit/flown.py"}


def test_the_table_of_presets_is_what_presets_give():
    """Catches a preset that was changed and a page that was not."""
    table = TEXT.partition("<!-- presets")[2].partition("<!-- end")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line][2:]
    assert len(rows) >= 9
    given = [preset_settings(*column).to_dict() for column in COLUMNS]
    methods = [settings["method"] for settings in given]
    for setting, *cells in rows:
        values = [settings[setting] for settings in given]
        written = ["none" if value is None else value if isinstance(value, str) else f"{value:g}" for value in values]
        # `refine` does not read how keyframes are encoded.
        unread = [method == "refine" and setting == "keyframe_encoding" for method in methods]
        assert cells == ["not used" if free else value for free, value in zip(unread, written, strict=True)], setting
    default = preset_settings("tiny")
    first = wan_sigmas(default.steps, strength=default.strength, shift=default.shift)[0]
    assert rf"\sigma_0 = 3 \cdot 0.08 / (1 + 2 \cdot 0.08) \approx {first:.2f}" in TEXT
    changed = {name for name in SETTINGS if len({str(settings[name]) for settings in given}) > 1}
    assert changed <= {setting for setting, *_ in rows}


@pytest.mark.parametrize("formula", FORMULAS)
def test_every_formula_is_one_that_github_shows(formula):
    assert convert(formula)
    assert not EATEN.search(formula)


def test_formulas_on_their_own_stand_between_empty_lines():
    lines = PROSE.splitlines()
    alone = [i for i, line in enumerate(lines) if "$$" in line]
    assert len(alone) >= 10
    for i in alone:
        assert re.fullmatch(r"\$\$[^$]+\$\$", lines[i])
        assert lines[i - 1] == lines[i + 1] == ""


def curved(centre):
    """A field that is neither straight nor constant."""
    return lambda x, sigma: (x - centre) / max(sigma, 0.2) + torch.sin(3 * x)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_the_listings_give_what_the_package_gives(beta):
    """Catches a listing that a reader would copy in vain."""
    generator = torch.Generator().manual_seed(1)
    source, target, noise = (torch.randn((1, 2, 4, 3, 3), generator=generator, dtype=torch.float64) for _ in range(3))
    keys, slots, sigmas = torch.flip(target, (2,))[:, :, [0, 2]], [0, 2], wan_sigmas(6, strength=0.8)
    problem = EditProblem(
        **{"source": source, "keys": keys, "source_keys": keys, "slots": tuple(slots)},
        **{"noise": noise, "sigmas": sigmas, "gain": Exact(10.0), "beta": beta},
        v_target=lambda x, x_key, sigma: curved(target)(x, sigma),
        v_source=lambda x, x_key, sigma: curved(source)(x, sigma),
        hook=lambda latents, sigma: latents,
    )
    listed = {}
    exec(LISTINGS, listed)  # the page's own code
    one = listed["edit_coupled"](curved(target), source, keys, slots, noise, sigmas, beta=beta)
    other = listed["edit_difference"](curved(target), curved(source), source, keys, slots, noise, sigmas, beta=beta)
    for mine, method in ((one, coupled), (other, difference)):
        torch.testing.assert_close(mine, list(method(problem))[-1].latents)
    assert (one - other).abs().max() > 0.1


@pytest.mark.parametrize("gain", [Exact(10.0), Euler(10.0), Euler(3.0)])
def test_the_closed_form_of_the_gap_is_the_loop(gain):
    """Catches a formula of the page that is not the loop's, at any step."""
    sigmas = wan_sigmas(12)
    problem, ideal = point_problem(sigmas, gain=gain, slots=(1,))
    apart = ideal[:, :, [1]] - problem.keys
    gap = (1 - sigmas[0]) * apart
    for (sigma, sigma_next), state in zip(pairwise(sigmas), coupled(problem), strict=True):
        kept = sigma_next / sigma
        gap = (1 - gain(sigma - sigma_next)) * (kept * gap + (1 - kept) * apart)
        torch.testing.assert_close(state.x_main[:, :, [1]] - state.x_key, gap)
