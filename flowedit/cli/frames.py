"""`flowedit frames`: take frames out of a video to paint on, as `flowedit edit` reads them back to the bit."""

from pathlib import Path
from typing import Annotated

import typer

from flowedit.cli.options import parse_numbers
from flowedit.errors import OutputError, SettingError
from flowedit.files import make_folder


def frames(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")],
    *,
    at: Annotated[str | None, typer.Option(help="Frames to take, such as 0,16,32.")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="Take every N-th frame.")] = None,
    start: Annotated[int, typer.Option(min=0, help="Frame of the video that counts as 0, as with edit --start.")] = 0,
) -> None:
    """Write frames of a video as PNG, at its own size, under names that edit takes their numbers from."""
    from flowedit.media.clip import probe, stream_video, write_image  # it loads OpenCV

    total = probe(video).num_frames - start
    if (at is None) == (every is None):
        raise SettingError("Say which frames: --at 0,16,32 or --every 16, one of the two.")
    wanted = set(range(0, total, every)) if every else set(parse_numbers(at, "--at", int, "0,16,32"))
    outside = sorted(index for index in wanted if not 0 <= index < total)
    if total < 1 or outside:
        first = outside[0] if outside else start
        raise SettingError(f"Frame {first} is not in {video}, which has {max(total, 0)} frames from frame {start} on.")
    files = {index: output / f"frame-{index:04d}.png" for index in sorted(wanted)}
    if there := [path for path in files.values() if path.exists()]:
        raise OutputError(f"{there[0]} is there already, perhaps painted on; choose another folder with -o.")
    make_folder(output)
    for index, picture in enumerate(stream_video(video, start=start, num_frames=max(wanted) + 1)):
        if index in wanted:
            write_image(files[index], picture)
    typer.echo(output)
