"""Shapes are checked while tests run: jaxtyping's annotations, enforced by beartype, in every module of flowedit."""

from collections import Counter
from pathlib import Path

import jaxtyping
import pytest

# Before any test module imports flowedit: the hook rewrites modules as they load.
_hook = jaxtyping.install_import_hook("flowedit", "typechecking.checked")

SLOW = Path(__file__).parent / "slow.txt"
LONG = 60.0
"""Seconds from which a test is left to `make test-all`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests that `make check` or `make test` leave out, and put the files that take longest first.

    `tools/slow_tests.py` writes down which tests are slow, and their seconds; a file takes as long as its slow tests
    together. What takes long and begins last would keep one worker busy while the other waits.
    """
    lines = [line.split() for line in SLOW.read_text(encoding="utf-8").splitlines()]
    slow = {name: float(seconds) for seconds, name in lines}
    files = Counter()
    for name, seconds in slow.items():
        files[name.partition("::")[0]] += seconds
    for item in items:
        _, _, test = item.nodeid.partition("::")
        name = f"{item.path.name}::{test.split('[')[0]}"
        if slow.get(name, 0.0) >= LONG:
            item.add_marker(pytest.mark.long)
        if name in slow or item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: -files[item.path.name])


@pytest.fixture
def unchecked():
    """Run as users do, without the type checker: for tests of what the package itself refuses."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def own_figure_style():
    """What a test changes of matplotlib's style ends with it."""
    from matplotlib import rc_context

    with rc_context():
        yield
