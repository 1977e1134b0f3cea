"""Shapes are checked while the tests run: jaxtyping's annotations, enforced by beartype, in every module of flowedit."""

from jaxtyping import install_import_hook

# Before any test module imports flowedit: the hook rewrites modules as they load.
_hook = install_import_hook("flowedit", "typechecking.checked")
