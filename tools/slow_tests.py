"""Write down which unit tests `make check` leaves out, from a log of `pytest --durations 0 -vv tests/unit tests/media`.

`make test` begins with the files whose tests on this list take longest together, so that its workers end together.
"""

import argparse
import re
from collections import defaultdict
from pathlib import Path

LIST = Path(__file__).parents[1] / "tests" / "unit" / "slow.txt"
ONE, ALL = 1.0, 3.0
"""Seconds of one case of a test, and of all its cases, up to which it counts as quick."""
_LINE = re.compile(r"\s*([\d.]+)s (?:call|setup|teardown)\s+tests/(?:unit|media)/(\S+?\.py(?:::\w+)+)(.*)")


def slow_tests(log: str) -> list[str]:
    """A line a test that took too long: seconds of all its cases, and `file::function` or `file::class::function`.

    Args:
        log: what pytest printed with `--durations 0 -vv`.
    """
    cases: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for seconds, test, case in _LINE.findall(log):
        cases[test][case] += float(seconds)
    slow = {
        t: sum(found.values()) for t, found in cases.items() if max(found.values()) > ONE or sum(found.values()) > ALL
    }
    return [f"{slow[test]:.1f} {test}" for test in sorted(slow)]


def main() -> None:
    """Read a log, write the list; where a fixture is shared, its seconds count for the test that comes first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="what pytest printed")
    log = parser.parse_args().log
    found = slow_tests(log.read_text(encoding="utf-8"))
    if not found:
        parser.error(f"{log} names no slow unit test; let pytest print every duration, with --durations 0 -vv.")
    LIST.write_text("\n".join(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
