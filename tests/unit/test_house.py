"""The house stands straight: functions that can be read, and imports that run down only."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = 60
"""Lines of a function at most."""
MODULES = sorted((ROOT / "flowedit").rglob("*.py"))
FLOORS = 10
"""Of rooms, files and folders directly in the package, at most: a room stands above all that it imports."""


def test_functions_can_be_read_at_a_glance():  # catches: a call of 333 lines
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= FUNCTION, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module imports, in a function or for types alone too; the one lazy `__init__` left out of it."""
    graph = grimp.build_graph("flowedit", cache_dir=None)
    return {m: graph.find_modules_directly_imported_by(m) - {"flowedit"} for m in graph.modules - {"flowedit"}}


def test_no_import_runs_in_a_circle(imports):  # catches: a circle hidden in a function or behind TYPE_CHECKING
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def floors(imports: dict[str, set[str]]) -> dict[str, int]:
    """Floor of each room, the ground being 1."""
    rooms: dict[str, set[str]] = {}
    for module, others in imports.items():
        rooms.setdefault(room_of(module), set()).update(map(room_of, others))
    found: dict[str, int] = {}
    below = {room: others - {room} for room, others in rooms.items()}
    for room in TopologicalSorter(below).static_order():
        found[room] = 1 + max((found[other] for other in below[room]), default=0)
    return found


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_rooms_stand_on_few_floors(imports):
    """Catches: a file on top of all others, rooms that lean on each other."""
    assert max(floors(imports).values()) <= FLOORS
    # Rooms are counted, and all their imports: not files, or the first import alone.
    three = floors({"p.a": set(), "p.b.x": {"p.b.y", "p.a"}, "p.b.y": set(), "p.c": {"p.b.x", "p.a"}})
    assert three == {"p.a": 1, "p.b": 2, "p.c": 3}


def test_the_page_of_the_house_names_every_room(imports):  # catches: a room that nobody finds
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {room_of(module).removeprefix("flowedit.") for module in imports} - {"__main__"}
    named = set(re.findall(r"`(\w+)(?:/|\.py)`", page.split("\n## The way")[0]))
    assert rooms <= named


def test_one_lazy_init_and_no_other():  # catches: a module that answers for names it does not hold
    lazy = [str(p.relative_to(ROOT)) for p in MODULES if re.search(r"^def __getattr__", p.read_text(), re.MULTILINE)]
    assert lazy == ["flowedit/__init__.py"]
