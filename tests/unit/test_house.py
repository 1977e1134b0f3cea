"""The house stands straight: functions that can be read, and imports that run down only."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = 60
"""Lines of a function at most."""
MODULES = sorted((ROOT / "flowedit").rglob("*.py"))
FLOORS = 10
"""Of rooms, files and folders directly in the package, at most: a room stands above all that it imports."""
LAZY = ROOT / "flowedit" / "__init__.py"


def test_functions_can_be_read_at_a_glance():  # catches: a call of 333 lines
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= FUNCTION, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def imports_of(path: Path) -> set[str]:
    """Modules of the package that a file names, deferred and typing-only imports too."""
    known = {dotted(module) for module in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    # A name taken from a package's `__init__` is an import of that package, unless it is a module of its own.
    modules = found & known
    taken = {name.rpartition(".")[0] for name in modules}
    return {name for name in modules if not (name in taken and is_bare(name, found, known))} - {dotted(path)}


def is_bare(name: str, found: set[str], known: set[str]) -> bool:
    """Whether all that is taken from a package are modules in it."""
    return all(f in known for f in found if f.startswith(f"{name}.") and f.count(".") == name.count(".") + 1)


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Every module but the one lazy `__init__`, which names everything and loads nothing."""
    return {dotted(path): imports_of(path) - {"flowedit"} for path in MODULES if path != LAZY}


def test_no_import_runs_in_a_circle():  # catches: a circle hidden in a function or behind TYPE_CHECKING
    try:
        tuple(TopologicalSorter(graph()).static_order())
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


def test_rooms_stand_on_few_floors():  # catches: a file laid on top of all others, and rooms that lean on each other
    assert max(floors(graph()).values()) <= FLOORS
    # Rooms are counted, and all their imports: not files, or the first import alone.
    three = floors({"p.a": set(), "p.b.x": {"p.b.y", "p.a"}, "p.b.y": set(), "p.c": {"p.b.x", "p.a"}})
    assert three == {"p.a": 1, "p.b": 2, "p.c": 3}


def test_the_page_of_the_house_names_every_room():  # catches: a room that nobody finds
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {room_of(dotted(path)).removeprefix("flowedit.") for path in MODULES} - {"flowedit", "__main__"}
    named = set(re.findall(r"`(\w+)(?:/|\.py)`", page.split("\n## The way")[0]))
    assert rooms <= named


def test_one_lazy_init_and_no_other():  # catches: a module that answers for names it does not hold
    lazy = [str(p.relative_to(ROOT)) for p in MODULES if re.search(r"^def __getattr__", p.read_text(), re.MULTILINE)]
    assert lazy == ["flowedit/__init__.py"]


def test_a_deferred_and_a_typing_only_import_are_seen(monkeypatch, tmp_path):  # catches: the top of a file alone
    module = tmp_path / "flowedit" / "m.py"
    module.parent.mkdir()
    module.write_text("if TYPE_CHECKING:\n    from flowedit.edit import f\ndef f():\n    import flowedit.flow\n")
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    monkeypatch.setattr(f"{__name__}.MODULES", [module.with_name(f"{name}.py") for name in ("m", "edit", "flow")])
    assert imports_of(module) == {"flowedit.edit", "flowedit.flow"}
