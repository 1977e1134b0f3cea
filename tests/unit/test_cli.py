"""The command line: what it hands to a run, what it refuses in a line, and how it ends."""

import json
from fractions import Fraction

import numpy as np
import pytest
import typer
from oracles import Curved

from flowedit.cli.main import main
from flowedit.cli.options import options_of
from flowedit.estimate import CLASSICAL
from flowedit.media.clip import write_image, write_video
from flowedit.run import editing
from flowedit.run.request import EditRequest


@pytest.fixture(autouse=True)
def model(monkeypatch):
    """A model that is a formula, in place of the small one: it is not the subject."""
    made = Curved()
    made.name = "tiny"
    monkeypatch.setattr(editing, "load_at", lambda placement, request: (made, "pace plain"))


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A clip of 21 frames at 30000/1001, and two keyframes."""
    folder, rng = tmp_path_factory.mktemp("job"), np.random.default_rng(1)
    frames = np.kron(rng.integers(0, 256, (21, 8, 8, 3), dtype=np.uint8), np.ones((1, 8, 8, 1), np.uint8))
    write_video(folder / "clip.mp4", frames, Fraction(30000, 1001))
    for index in (0, 16):
        write_image(folder / f"key-{index:04d}.png", 255 - frames[index])
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code


@pytest.fixture
def edit(job, tmp_path):
    """Run `flowedit edit` into `tmp_path / "out"`; by a method that takes no steps unless one is given."""

    def edited(*more, at="0,16", video="clip.mp4"):
        keys = [part for index in (0, 16) for part in ("-k", job / f"key-{index:04d}.png")]
        method = () if "--method" in more else ("--method", "colour-map")
        given = ("--at", at, "-o", tmp_path / "out", "--size", "64x64", *method, *more)
        return run("edit", job / video, *keys, *given)

    return edited


def made(tmp_path):
    return json.loads((tmp_path / "out" / "run.json").read_text())


def test_a_run_says_what_was_chosen_and_where_it_is(edit, tmp_path, capsys):
    assert edit("--method", "difference", "--steps", 4, "-v", "--kappa", 0.3, "--cfg", 2, "--lossless") == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'report.html'}\n"
    assert "clip.mp4: frames 0 to 20 of 21 (21 frames at 29.970 fps), 64x64 edited at 64x64" in said.err
    assert "Step 0: r_k=" in said.err
    chosen = made(tmp_path)
    given = {name: chosen["settings"][name] for name in ("method", "steps", "kappa", "alpha", "guidance")}
    assert given == {"method": "difference", "steps": 4, "kappa": 0.3, "alpha": None, "guidance": 2.0}
    assert chosen["request"]["lossless"] is True
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data:video/mp4;base64," in page
    assert "data:image/svg+xml;base64," in page
    assert not [word for word in ("http://", "https://", 'src="edited', "@import") if word in page]


def test_a_sweep_says_where_each_run_is(edit, tmp_path, capsys):
    assert edit("--method", "coupled", "--steps", 4, "--sweep", "2,5", "--seeds", "0") == 0
    names = "alpha-2-seed-0", "alpha-5-seed-0"
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / name / "report.html") for name in names]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--alpha", "-1"), "alpha is -1.0; it must be at least 0"),
        (("--steps", "0"), "steps is 0; it must be"),
        (("--strength", "1.5"), "strength is 1.5; it must be in (0, 1]"),
        (("--beta", "2"), "beta is 2.0; it must be in [0, 1]"),
        (("--frames", "20"), "got 20. Use 17 or 21"),
        (("--frames", "33"), "33 frames from frame 0 reach past the video's 21; use at most 21"),
        (("--size", "60x64"), "got 60x64"),
        (("--size", "60"), "--size is '60'; give height x width"),
        (("--preset", "best"), "preset is 'best'; use one of default"),
        (("--style", "anime"), "one of the two"),
        (("--alpha", "5", "--kappa", "0.3"), "alpha is 5.0 and kappa is 0.3; a share per step takes the place of the"),
        (("--model", "2B"), "There is no checkpoint '2B'"),
        (("--mask", "none.png"), "none.png"),
        (("--placement", "half"), "placement is 'half'"),
        (("--at", "0,x"), "--at is '0,x'"),
        (("--at", "0,21"), "Keyframe 21 is outside the clip; its frames are 0 to 20"),
        (("--at", "16,0"), "give the indices in increasing order"),
        (("--at", "3,4"), "Keyframes 3 and 4 lie in one latent slot"),
        (("--at", "0,0"), "--at is '0,0'; give different numbers with commas, such as 0,16,32."),
        (("--at", "0"), "2 keyframe images came with 1 indices"),
        (("--sweep", "2,10", "--alpha", "5"), "--alpha is 5.0 beside --sweep 2,10, which gives each run an alpha of"),
        (("--sweep", "2,10", "--kappa", "0.5"), "Leave out --kappa or --sweep."),
        (("--seeds", "1,2", "--seed", "0"), "--seed is 0 beside --seeds 1,2, which gives each run a seed of its own."),
        (("--sweep", "2,2"), "--sweep is '2,2'; give different numbers"),
    ],
)
def test_nonsense_is_one_line_with_status_2_and_writes_nothing(edit, tmp_path, capsys, arguments, message):
    at = dict([arguments]) if arguments[0] == "--at" else {}
    assert edit(*(() if at else arguments), at=at.get("--at", "0,16")) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_unreadable_video_is_named(edit, job, capsys):
    (job / "noise.mp4").write_bytes(b"not a video")
    assert edit(video="noise.mp4") == 2
    assert "noise.mp4" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said", "see"),
    [
        ("edit clip.mp4 -o x --steps abc", "--steps is 'abc'; it must be a whole number.", "flowedit edit"),
        ("edit clip.mp4 -o x --alpha much", "--alpha is 'much'; it must be a number.", "flowedit edit"),
        ("style clip.mp4 -o x --max-frames 1.5", "--max-frames is '1.5'; it must be a whole number.", "flowedit style"),
        ("doctor --keyframes -1", "--keyframes is '-1'; it must be greater than or equal to 0.", "flowedit doctor"),
        ("demo --clip x", "--clip is 'x'; it must be one of coffee, mountain.", "flowedit demo"),
        ("edit clip.mp4", "Missing option '--output' / '-o'.", "flowedit edit"),
        ("models fetch", "Missing argument 'name'.", "flowedit models fetch"),
        ("edit a --stepz 3", "No such option: --stepz (Possible options: --steps, --style, --sweep).", "flowedit edit"),
        ("edit clip.mp4 -o x --steps", "Option '--steps' requires an argument.", "flowedit"),
        ("improve", "No such command 'improve'.", "flowedit"),
        ("doctor now", "Got unexpected extra argument(s) (now).", "flowedit doctor"),
    ],
)
def test_a_wrong_command_line_is_one_line_with_status_2(capsys, arguments, said, see):  # catches: usage and a box
    assert run(*arguments.split()) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"flowedit: {said} See {see} --help.\n")


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 2), (("models",), 2), (("--help",), 0), (("edit", "--help"), 0)]
)
def test_help_stays_help(capsys, arguments, status):  # catches: a page of help pressed into a line
    assert run(*arguments) == status
    said = "".join(capsys.readouterr())
    assert "Options:\n" in said
    assert said.startswith("Usage: flowedit")


def test_a_question_without_an_answer_is_one_line_with_status_1(capsys, monkeypatch):
    monkeypatch.setattr("flowedit.cli.main.app", lambda **_: (_ for _ in ()).throw(typer.Abort()))
    assert run("style") == 1
    assert capsys.readouterr().err == "flowedit: a question was left without an answer; nothing was done.\n"


def test_every_option_says_what_it_means():
    """Catches an attribute without a line in its dataclass's docstring, and one whose type no option can hold."""
    options = options_of(EditRequest, ("model", "size", "num_frames", "overwrite", "mask", "loras"))
    assert all(option.annotation.__metadata__[0].help for option in options)
    kinds = {option.name: option.annotation.__origin__ for option in options}
    assert kinds["num_frames"] == int | None
    assert kinds["overwrite"] is bool
    assert kinds["loras"] == list[str] | None


def test_a_folder_with_a_run_is_kept_unless_told(edit, tmp_path, capsys):
    assert edit() == 0
    before = (tmp_path / "out" / "run.json").read_bytes()
    assert edit("--seed", 3) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert (tmp_path / "out" / "run.json").read_bytes() == before
    assert edit("--seed", 3, "--overwrite") == 0
    assert made(tmp_path)["settings"]["seed"] == 3


def test_an_interrupted_run_ends_with_130_and_a_line(edit, monkeypatch, capsys):
    monkeypatch.setitem(CLASSICAL, "colour-map", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert edit() == 130
    assert capsys.readouterr().err.splitlines()[-1] == "flowedit: interrupted"


def test_an_error_of_ours_is_not_swallowed(edit, monkeypatch):
    monkeypatch.setitem(CLASSICAL, "colour-map", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        edit()


def test_an_unusual_setting_and_an_old_name_are_one_line_each(edit, tmp_path, capsys):
    """Catches a warning with a path in the code, and a renamed option that is refused or taken without a word."""
    assert edit("--alpha", "30", "--fit", "auto") == 0
    said = capsys.readouterr().err.splitlines()
    assert "warning: alpha is 30.0; 1 to 20 usually works." in said
    assert "warning: --fit is called --placement now." in said


def test_a_name_longer_than_the_terminal_stays_one_line(edit, job, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "clip[final]-with-a-name-that-is-longer-than-eighty-columns-of-a-terminal-however-wide-it-is.mp4"
    (job / name).write_bytes((job / "clip.mp4").read_bytes())
    assert edit(video=name) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "frames 0 to" in line]
    assert line.startswith(name)
