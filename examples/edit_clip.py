"""Edit a clip of your own: `python examples/edit_clip.py clip.mp4 frame-0000.png frame-0016.png`.

Each picture's name ends with the frame it belongs to.
"""

import sys
from pathlib import Path

import flowedit
from flowedit.job import load_job, pair_keyframes, video_window
from flowedit.presets import model_defaults, preset_settings


def main(video: str, *images: str) -> None:
    """Edit `video` with the keyframes and write `edited.mp4` beside it."""
    defaults = model_defaults("tiny")
    window = video_window(Path(video), start=0, num_frames=None, window=defaults.window)
    keyframes = pair_keyframes([Path(image) for image in images], at=None)
    job = load_job(Path(video), keyframes, defaults, frame_map=window, size=None, multiple=defaults.multiple)
    prepared = flowedit.prepare(job.frames, job.keyframes, flowedit.load_model("tiny"), preset_settings("tiny"))
    for step in flowedit.edit_steps(prepared):
        sys.stdout.write(step.trace.line() + "\n")
    result = flowedit.finish(prepared, step.latents)
    flowedit.write_video(Path(video).with_name("edited.mp4"), result.frames, job.fps)


if __name__ == "__main__":
    main(*sys.argv[1:])
