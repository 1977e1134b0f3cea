"""The cell template: every lesson has its parts in order, small cells, and words beside every picture."""

import ast
import itertools
import json
import re

import nbformat
import pytest

from flowedit import widgets
from notebooks.publish import build
from notebooks.publish.build import EXTRA_TAGS, TAGS, part, read_source
from tests.notebooks.lessons_on_disk import ROOT, code_of, every_lesson, exercises_of

MARKDOWN = {"header", "idea", "exercise", "recap"}
CODE = {"setup", "code", "stub", "check", "solution", "proof"}
MAX_LINES, MAX_CODE_CELLS, MAX_IDEA_WORDS, MAX_DEF_LINES = 10, 12, 160, 7
WHOLE_METHOD = 15  # lines of the solution that is a method
KEPT_BYTES = 270_000  # of them the stills of widgets take up to 60 000

both_builds = pytest.mark.parametrize("make", [build.student, build.solution], ids=["student", "solution"])


def lines_of(cell):
    return [line for line in cell.source.splitlines() if line.strip() and line != "# NBVAL_CHECK_OUTPUT"]


def words_of(markdown):
    text = re.sub(r"\$\$.*?\$\$", " ", markdown, flags=re.S)
    text = re.sub(r"^\|.*\|$", " ", text, flags=re.M)
    return re.findall(r"[^\s]*[A-Za-z0-9$][^\s]*", text)


@every_lesson
def test_every_cell_has_one_part_of_the_right_kind(lesson):
    for cell in read_source(lesson).cells:
        tags = cell.metadata.get("tags", [])
        assert part(cell) in TAGS, f"{tags}: {cell.source[:60]!r}"
        assert set(tags) <= {*TAGS, *EXTRA_TAGS}
        kinds = {"markdown"} if part(cell) in MARKDOWN else {"code"} if part(cell) in CODE else {"markdown", "code"}
        assert cell.cell_type in kinds, f"{part(cell)} is {cell.cell_type}: {cell.source[:60]!r}"


@every_lesson
def test_the_parts_come_in_order(lesson):
    cells = [cell for cell in read_source(lesson).cells if part(cell) != "proof"]
    parts = [part(cell) for cell in cells]
    assert parts[:4] == ["header", "setup", "predict", "predict"]
    assert parts[-2:] == ["predict", "recap"]
    assert parts.count("header") == parts.count("setup") == parts.count("recap") == 1
    assert "idea" in parts
    for i, cell in enumerate(cells):
        if parts[i] == "exercise":
            assert parts[i + 1 : i + 4] == ["stub", "check", "solution"]
        if parts[i] == "see" and cell.cell_type == "code":
            assert cells[i + 1].cell_type == "markdown"
            assert parts[i + 1] == "see"
            assert cells[i + 1].source.startswith("**What you should see.**")
    assert parts.count("stub") == parts.count("exercise") >= 1


@every_lesson
def test_cells_are_small(lesson):
    cells = read_source(lesson).cells
    for cell in cells:
        if cell.cell_type == "code" and part(cell) != "proof":
            assert len(lines_of(cell)) <= (WHOLE_METHOD if part(cell) == "solution" else MAX_LINES), cell.source
        if part(cell) == "idea":
            assert len(words_of(cell.source)) <= MAX_IDEA_WORDS, (len(words_of(cell.source)), cell.source[:60])
        assert max(map(len, cell.source.splitlines()), default=0) <= 120, cell.source
    for cell in cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    most = WHOLE_METHOD if part(cell) == "solution" else MAX_DEF_LINES
                    assert node.end_lineno - node.lineno + 1 <= most, cell.source
    extra = ("solution", "proof", "predict")
    code_cells = [cell for cell in cells if cell.cell_type == "code" and part(cell) not in extra]
    assert len(code_cells) <= MAX_CODE_CELLS


def nesting(node, depth=0):
    """Comprehensions inside each other, at most."""
    depth += isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
    return max([depth, *(nesting(child, depth) for child in ast.iter_child_nodes(node))])


@every_lesson
def test_cells_are_easy_to_read(lesson):
    """Catches a test in a student's cell, an assignment inside an expression, and a nest of comprehensions."""
    for cell in code_of(build.student(lesson)):
        if part(cell) == "setup":
            continue
        tree = ast.parse(cell.source)
        kinds = {type(node) for node in ast.walk(tree)}
        assert not kinds & {ast.Assert, ast.NamedExpr}, cell.source
        assert nesting(tree) <= 1, cell.source


@every_lesson
def test_the_announced_minutes_hold(lesson):
    """Catches a lesson that grew beyond what a sitting takes, and exercises without their minutes."""
    reading, exercises = build.reading_minutes(lesson)
    assert reading <= 25, reading
    assert 0 < exercises <= 20
    assert f"| {reading} min | {exercises} min |" in build.student(lesson).cells[0].source


@every_lesson
def test_one_title_and_no_heading_level_skipped(lesson):
    text = "\n".join(cell.source for cell in read_source(lesson).cells if cell.cell_type == "markdown")
    levels = [len(mark) for mark in re.findall(r"^(#+) ", text, flags=re.M)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels


@every_lesson
def test_the_header_says_what_is_learned_and_needed(lesson):
    header = read_source(lesson).cells[0].source
    assert header.startswith(f"# {lesson.number} · {lesson.title}\n")
    for needed in ("{{badges}}", "{{measured}}", "**You will learn**", "**You need**"):
        assert needed in header
    assert header.count("*") - 2 * header.count("**") >= 6, "three verbs in italics"


@every_lesson
def test_an_exercise_has_difficulty_minutes_and_two_hints(lesson):
    for cell in read_source(lesson).cells:
        if part(cell) == "exercise":
            assert re.match(rf"### Exercise {int(lesson.number)}\.\d: ", cell.source)
            assert re.search(r"\*Difficulty [●]{1,5}[○]{0,4} · \d+ minutes\.\*", cell.source)
            assert cell.source.count("<details><summary>Hint") == 2


@every_lesson
def test_stub_and_solution_differ_in_the_gap_alone(lesson):
    """Catches a solution for another signature, and a stub that gives lines of the answer away."""
    for name, stub, check, solution in exercises_of(lesson):
        before, after = (ast.parse(text).body[-1] for text in (stub, solution))
        assert ast.dump(before.args) == ast.dump(after.args), name
        assert before.name == after.name
        assert ast.get_docstring(before) == ast.get_docstring(after)
        assert ast.unparse(before.body[-1]) == f"raise NotImplementedError('Exercise {name}')"
        assert check == f'lessons.check("{name}", {before.name})'
        assert ast.unparse(ast.parse(stub).body[:-1]) == ast.unparse(ast.parse(solution).body[:-1])


def stored(lesson, make):
    path = lesson.student if make is build.student else lesson.solution
    return path, nbformat.read(path, as_version=4)


@both_builds
@every_lesson
def test_the_notebooks_are_built_from_the_source(lesson, make):
    """Catches a notebook edited by hand, or a source edited without `build`."""
    (_, found), made = stored(lesson, make), make(lesson)
    parts = [[(cell.cell_type, cell.source, cell.metadata) for cell in each.cells] for each in (found, made)]
    assert parts[0] == parts[1]


@both_builds
@every_lesson
def test_stored_outputs_are_few_small_and_have_words(lesson, make):
    """Catches widget state that viewers cannot show, outputs that were not asked for, and pictures without words."""
    path, notebook = stored(lesson, make)
    assert path.stat().st_size <= KEPT_BYTES
    assert "widgets" not in notebook.metadata
    for cell in code_of(notebook):
        if "keep_output" not in cell.metadata.tags:
            assert all(build.is_still(output) for output in cell.outputs)
            continue
        assert cell.outputs, f"run the lessons: {cell.source[:60]!r} keeps no output"
        for output in cell.outputs:
            assert output.output_type in ("stream", "display_data", "execute_result")
            for kind in {"image/png", "image/jpeg"} & set(output.get("data", {})):
                assert len(output.metadata[kind]["alt"].split()) >= 5


def shows_a_widget(source):
    """Whether a cell ends on one of the package's widgets, made there or a line above."""
    *_, last = body = ast.parse(source).body
    calls = {node.targets[0].id: node.value for node in body if isinstance(node, ast.Assign) and len(node.targets) == 1
             and isinstance(node.targets[0], ast.Name)}  # fmt: skip
    value = getattr(last, "value", None)
    made = calls.get(value.id) if isinstance(value, ast.Name) else value
    return isinstance(last, ast.Expr) and isinstance(made, ast.Call) and ast.unparse(made.func) in widgets.__all__


@both_builds
@every_lesson
def test_every_widget_is_stored_as_a_still(lesson, make):
    """Catches a widget's cell that is blank where no script runs, as on GitHub."""
    _, notebook = stored(lesson, make)
    shown = [cell for cell in code_of(notebook) if part(cell) != "setup" and shows_a_widget(cell.source)]
    assert shown
    for cell in shown:
        stills = [output for output in cell.outputs if build.is_still(output)]
        assert stills, f"run the lessons: {cell.source[:60]!r}"
        assert all(output.data.get("image/jpeg") or "<" in output.data["text/html"] for output in stills)


@both_builds
@every_lesson
def test_every_link_leads_somewhere(lesson, make):
    """Catches badges and links to files that do not exist, and links that hold for one of the two folders only."""
    path, notebook = stored(lesson, make)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert lesson.colab in text
    assert lesson.binder in text
    assert (ROOT / lesson.colab.split("/blob/main/")[1]).is_file()
    for words, target in re.findall(r"!?\[([^\]]*)\]\(([^)]+)\)", text):
        assert words.strip()
        if not target.startswith("http"):
            assert (path.parent / target.split("#")[0]).exists(), f"{path.name}: {target}"


@every_lesson
def test_every_cell_that_uses_a_preset_says_what_ran(lesson):
    """Catches a picture of one setting's work beside a text about another's."""
    code = [
        cell.source
        for cell in code_of(read_source(lesson))
        if "edit_video(" in cell.source or "prepare(" in cell.source
    ]
    for source in code:
        assert "preset_settings(" not in source or "what_ran(" in source or "def edited" in source, source


@every_lesson
def test_every_number_said_is_computed(lesson):
    """Catches a figure typed into prose that no cell computes, prints or is given."""
    _, notebook = stored(lesson, build.solution)
    computed = json.dumps([[cell.source, cell.outputs] for cell in notebook.cells if cell.cell_type == "code"])
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and part(cell) in ("idea", "see", "recap", "predict"):
            prose = re.sub(r"arXiv\s+[\d.]+|<!--.*?-->", "", cell.source)
            for number in re.findall(r"(?<![\w.-])\d+\.\d+(?![\w.])", prose):
                assert number in computed, f"{number} in {cell.source[:60]!r}"
