"""The command line: a module a command, whose options come from the settings' own dataclasses."""

import os

# Read once, when torch and NumPy load, which importing the commands does. Threads that spin while they wait take the
# processor from those they wait for: beside one other busy program an edit took three times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Products are small here, and in another number of threads they round another way: edits differed by up to 25 levels.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
