"""Edit a clip of your own: `python examples/edit_clip.py clip.mp4 frame-0000.png frame-0016.png`.

Each picture's name ends with the frame it belongs to.
"""

import sys
from pathlib import Path

import flowedit
from flowedit.run.inputs import pair_keyframes, read_inputs
from flowedit.run.request import EditRequest


def main(video: str, *images: str) -> None:
    """Edit `video` with the keyframes and write `NAME-edited.mp4` beside it, with its sound; nothing is replaced."""
    keyframes = pair_keyframes([Path(image) for image in images], at=None)
    settings = flowedit.preset_settings("tiny")
    output = Path(video).with_name(f"{Path(video).stem}-edited.mp4")
    if output.exists():
        raise SystemExit(f"{output} is there already; move it away first.")
    inputs = read_inputs(EditRequest(video=Path(video), keyframes=keyframes, output=output, settings=settings))
    prepared = flowedit.prepare(inputs.frames, inputs.keyframes, flowedit.load_model("tiny"), settings)
    for step in flowedit.edit_steps(prepared):
        sys.stdout.write(step.trace.line() + "\n")
    result = flowedit.finish(prepared, step.latents)
    flowedit.write_video(output, result.frames, inputs.clip.times, audio_from=inputs.sound)


if __name__ == "__main__":
    main(*sys.argv[1:])
