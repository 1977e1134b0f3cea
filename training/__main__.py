"""Train the small Wan by parts: ``python -m training PART --minutes M --out DIR`` (see docs/training.md)."""

import argparse
from pathlib import Path

from training.dit import train_dit
from training.loop import Run
from training.photographs import fetch
from training.vae import train_vae

PARTS = {"vae": train_vae, "dit": train_dit}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and train; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("part", choices=tuple(PARTS), help="the autoencoder first, then the transformer")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, default=0.0, help="how long to train; the schedule follows the clock")
    length.add_argument("--steps", type=int, default=0, help="how many steps to train instead")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, state and curve")
    parser.add_argument("--resume", action="store_true", help="go on from the state in that folder")
    parser.add_argument("--start", type=Path, help="folder of weights to begin with, without an optimiser's state")
    parser.add_argument("--config", choices=("shipped", "smoke"), default="shipped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peak", type=float, default=0.0, help="highest learning rate")
    parser.add_argument("--photographs", type=Path, default=Path("photographs"), help="folder; fetched if missing")
    parser.add_argument("--plain", action="store_true", help="compile nothing")
    settings = vars(parser.parse_args(arguments))
    part = settings.pop("part")
    if not settings["photographs"].is_dir():
        fetch(settings["photographs"])
    PARTS[part](Run.begin(settings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
