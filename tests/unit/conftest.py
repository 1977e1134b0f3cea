"""Shapes are checked while tests run: jaxtyping's annotations, enforced by beartype, in every module of flowedit."""

import jaxtyping
import pytest

# Before any test module imports flowedit: the hook rewrites modules as they load.
_hook = jaxtyping.install_import_hook("flowedit", "typechecking.checked")


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
