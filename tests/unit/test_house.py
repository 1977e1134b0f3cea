"""The house stays small and stands straight: sizes of rooms, modules and functions, and imports that run down only."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "flowedit": 20_000,
    "flowedit/wan": 2_800,
    "flowedit/tiny": 1_700,
    "flowedit/agent": 3_200,
    "flowedit/widgets": 4_800,
    "flowedit/lessons": 900,
    "flowedit/cli": 900,
    "training": 2_500,
    "benchmarks": 2_500,
    "tests": 15_000,
}
"""Lines of Python, JavaScript and CSS that a room may hold."""
MODULE, FUNCTION, PARAMETERS, FLOORS = 300, 60, 6, 10
PROMISED = {"flowedit/compat.py"}
"""Modules whose signatures users know from elsewhere."""
MODULES = sorted((ROOT / "flowedit").rglob("*.py"))
LAZY = ROOT / "flowedit" / "__init__.py"


def lines_of(folder: str) -> int:
    files = (path for kind in ("py", "js", "css") for path in (ROOT / folder).rglob(f"*.{kind}"))
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)


@pytest.mark.parametrize(("room", "most"), ROOMS.items())
def test_a_room_keeps_its_budget(room, most):  # catches: a house that outgrows its purpose again
    assert lines_of(room) <= most


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def size(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, int]:
    """Lines, and parameters without self."""
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs) if a.arg not in ("self", "cls")]
    return (function.end_lineno or function.lineno) - function.lineno + 1, len(names)


def test_modules_and_functions_can_be_read_at_a_glance():  # catches: a 333-line call with 61 parameters
    long = [str(p.relative_to(ROOT)) for p in MODULES if len(p.read_text(encoding="utf-8").splitlines()) > MODULE]
    assert not long, "modules"
    for path in MODULES:
        name = str(path.relative_to(ROOT))
        for function in functions_of(path):
            lines, parameters = size(function)
            assert lines <= FUNCTION, f"{name}:{function.lineno} {function.name}"
            assert parameters <= PARAMETERS or name in PROMISED, f"{name}:{function.lineno} {function.name}"


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


def test_one_lazy_init_and_no_other():  # catches: a module that answers for names it does not hold
    lazy = [str(p.relative_to(ROOT)) for p in MODULES if re.search(r"^def __getattr__", p.read_text(), re.MULTILINE)]
    assert lazy == ["flowedit/__init__.py"]


def test_a_deferred_and_a_typing_only_import_are_seen(
    monkeypatch, tmp_path
):  # catches: reading the top of a file alone
    module = tmp_path / "flowedit" / "m.py"
    module.parent.mkdir()
    module.write_text("if TYPE_CHECKING:\n    from flowedit.run import run_edit\ndef f():\n    import flowedit.flow\n")
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    monkeypatch.setattr(f"{__name__}.MODULES", [module.with_name(f"{name}.py") for name in ("m", "run", "flow")])
    assert imports_of(module) == {"flowedit.run", "flowedit.flow"}


def test_rooms_stand_on_at_most_ten_floors():  # catches: a tower of modules, each a step up from the last
    rooms: dict[str, set[str]] = {}
    for module, imported in graph().items():
        rooms.setdefault(room_of(module), set()).update(room_of(name) for name in imported)
    floors: dict[str, int] = {}
    for room in TopologicalSorter({room: below - {room} for room, below in rooms.items()}).static_order():
        floors[room] = 1 + max((floors[below] for below in rooms.get(room, ()) if below != room), default=0)
    assert max(floors.values()) <= FLOORS, sorted(floors.items(), key=lambda item: -item[1])


def room_of(module: str) -> str:
    """The folder or file right below the package."""
    return ".".join(module.split(".")[:2])
