"""Code in an interpreter of its own, which begins with nothing imported."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def fresh(code, *arguments, environment=None):
    """What it prints, as words, its errors on ours; modules beside the tests are there, variables that are None not."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    there = {**os.environ, "PYTHONPATH": path, **(environment or {})}
    there = {name: value for name, value in there.items() if value is not None}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=there)
    sys.stderr.write(done.stderr)
    return done.stdout.split()
