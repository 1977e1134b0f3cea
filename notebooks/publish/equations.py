"""Each equation of docs/method.md and the line of code that is it: a page of the site."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from notebooks.publish.catalog import BRANCH, FOLDER, REPOSITORY

ROOT = FOLDER.parent

LINES: dict[str, tuple[str, str]] = {
    r"x = (1-\sigma) z + \sigma n": ("flowedit/flow.py", "return (1 - sigma) * data + sigma * noise"),
    "v = n - z": ("flowedit/flow.py", "return noise - data"),
    r"x \leftarrow x - dt v": ("flowedit/flow.py", "return x + v * (sigma_next - sigma)"),
    r"\sigma = \frac{shift \cdot s}{1 + (shift - 1) s}": ("flowedit/schedule.py", "bent = np.float32(shift) * even"),
    r"slot(i) = \lfloor (i + 3) / 4 \rfloor": ("flowedit/frames.py", "return (index + GROUP - 1) // GROUP"),
    "z_{key} = z_{src}[slot] + hold(styled) - hold(source)": (
        "flowedit/methods/encoding.py",
        "return source[:, :, slot : slot + 1] + change",
    ),
    "r = (x_{main} - x_{key}) - (v_{main} - v_{key}) dt": (
        "flowedit/correction.py",
        "return Residual(z_diff, v_diff, z_diff - v_diff * dt)",
    ),
    r"v_{main} \leftarrow v_{main} + \frac{\kappa}{dt} r": ("flowedit/correction.py", "return v_main + rate * r, "),
    r"v_{key} \leftarrow v_{key} - \frac{\beta \kappa}{dt} r": ("flowedit/correction.py", "v_key - (beta * rate) * r"),
    r"gap_{next} = (1 - \kappa (1 + \beta)) r": ("flowedit/correction.py", "return (1 - kappa * (1 + beta)) * r"),
    r"0 < \alpha (1 + \beta) dt < 2": ("flowedit/correction.py", "if alpha * (sigma - sigma_next) * (1 + beta) >= 2"),
    r"\kappa (1 + \beta) = 1 - e^{-\alpha (1 + \beta) dt}": (
        "flowedit/correction.py",
        "return -math.expm1(-self.rate * (1 + beta) * dt) / (1 + beta)",
    ),
    r"gap_{i+1} = (1 - \kappa_i) \left( \frac{\sigma_{i+1}}{\sigma_i} gap_i + "
    r"\left( 1 - \frac{\sigma_{i+1}}{\sigma_i} \right) D \right)": (
        "tests/unit/test_method_page.py",
        "gap = (1 - gain(sigma - sigma_next)) * (kept * gap + (1 - kept) * apart)",
    ),
    r"x_{src} = (1 - \sigma) z_{src} + \sigma n": (
        "flowedit/methods/difference.py",
        "x_source, x_source_key = interpolate(source, noise, sigma)",
    ),
    "x_{tar} = z + x_{src} - z_{src}": ("flowedit/methods/difference.py", "x_target = x_source + (edit - source)"),
    r"z \leftarrow z - dt (v_{tar}(x_{tar}) - v_{src}(x_{src}))": (
        "flowedit/methods/difference.py",
        "edit = euler_step(edit, v_main - velocity(source, noise), sigma, sigma_next)",
    ),
}
"""By the equation as the page has it: the file, and what the one line in it holds."""


class Place(NamedTuple):
    """An equation, and where it is code."""

    formula: str
    path: str
    number: int
    line: str


def places() -> Iterator[Place]:
    """Every equation of docs/method.md, in order; a KeyError names one that has no line, a ValueError a lost one."""
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / "method.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    for formula in re.findall(r"\$\$(.+?)\$\$", text, flags=re.DOTALL):
        path, wanted = LINES[formula]
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        found = [number for number, line in enumerate(lines, 1) if wanted in line]
        if len(found) != 1:
            raise ValueError(f"{wanted!r} is in {len(found)} lines of {path}, not in one.")
        yield Place(formula, path, found[0], lines[found[0] - 1].strip())


def page() -> str:
    """The page in Markdown."""
    rows = [
        f"| ${place.formula}$ | [{place.path}:{place.number}]"
        f"(https://github.com/{REPOSITORY}/blob/{BRANCH}/{place.path}#L{place.number}) | `{place.line}` |"
        for place in places()
    ]
    address = f"https://github.com/{REPOSITORY}/blob/{BRANCH}/docs/method.md"
    lead = f"# From equation to code\n\nEach equation of [the method]({address}), and the line that is it.\n"
    return "\n".join([lead, "| equation | where | the line |", "| --- | --- | --- |", *rows, ""])
