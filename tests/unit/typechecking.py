"""The type checker of the test runs: beartype, with an int accepted where a float is asked for, as Python does."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
