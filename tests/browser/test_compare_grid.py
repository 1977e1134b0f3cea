"""CompareGrid: clips in step, the order follows the numbers, references stay in front, the best is marked."""

import math

import numpy as np

from flowedit.widgets import CompareGrid

from .conftest import DASH, pixels, shows

SETUP = """
import numpy as np
from flowedit.widgets import CompareGrid
counting = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones((9, 16, 16, 3), np.uint8)
scores = [("source", 9.0, 0.1), ("ours", 30.0, 0.5), ("other", 20.0, 0.2)]
rows = [(name, counting + 20 * i, {"psnr": p, "flicker": f}) for i, (name, p, f) in enumerate(scores)]
widget = CompareGrid(rows, better={"psnr": "high", "flicker": "low"}, references=["source"])
widget
"""


def rows(*metrics):
    return [(f"row {i}", np.full((3, 16, 16, 3), 20 * i, np.uint8), values) for i, values in enumerate(metrics)]


def test_clips_move_in_step_and_the_order_reaches_the_kernel(open_notebook):
    book = open_notebook(SETUP, "widget", "1 + 1")
    book.page.wait_for_function("document.querySelectorAll('.fe-compare-grid[data-drawn]').length === 2")
    root, second = book.root("compare-grid"), book.root("compare-grid", 1)
    root.get_by_label("Frame", exact=True).press("PageUp")
    shows(root, drawn=4)
    shown = [int(pixels(root.locator("canvas").nth(i))[0, 0, 0]) for i in range(3)]
    assert shown == [4, 24, 44]
    root.get_by_role("button", name="psnr").click()
    assert second.get_attribute("data-order") == "0,1,2"
    root.get_by_role("button", name="psnr").click()
    assert second.get_attribute("data-order") == "0,2,1"
    book.wait_for_kernel("print(widget.sort, widget.index)", "['psnr', 'up'] 4")
    book.kernel("widget.sort = ['flicker', 'up']")
    shows(root, order="0,2,1")
    book.shut_down_kernel()
    root.get_by_role("button", name="name").click()
    assert [second.locator("tbody td:first-child").nth(i).inner_text() for i in range(3)] == ["source", "other", "ours"]
    root.get_by_role("button", name="name").click()
    assert second.get_attribute("data-order") == "0,1,2"
    root.get_by_label("Frame", exact=True).press("End")
    shows(root, drawn=8)


def test_missing_and_not_finite_values_sort_last_both_ways(drawn):
    root = drawn(CompareGrid(rows({"a": 2.0}, {"a": math.nan}, {"a": 3.0}, {}, {"a": 1.0}), better={"a": "high"}))
    button = root.get_by_role("button", name="a", exact=True)
    button.click()
    assert root.get_attribute("data-order") == "2,0,4,1,3"
    assert root.locator("th[aria-sort=descending]").inner_text().startswith("a")
    button.click()
    assert root.get_attribute("data-order") == "4,0,2,1,3"
    assert root.locator("td[data-best]").inner_text() == "★ 3"
    assert root.locator("tbody tr").nth(3).locator("td").nth(1).inner_text() == DASH


def test_a_reference_is_never_the_best_nor_is_anything_without_a_direction(drawn):
    lower = CompareGrid(rows({"a": 0.0}, {"a": 5.0}, {"a": 4.0}), better={"a": "low"}, references=["row 0"])
    root = drawn(lower, CompareGrid(rows({"a": 0.0}, {"a": 5.0})))
    assert root.first.locator("td[data-best]").inner_text() == "★ 4"
    assert root.first.get_attribute("data-order") == "0,1,2"
    assert root.last.locator("td[data-best]").count() == 0
