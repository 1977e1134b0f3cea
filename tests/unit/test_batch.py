"""A manifest of many clips: what a line means, and that every fault is named by its line before any work."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path

import av
import pytest
from batch_clips import Pretended, entries_in, make_clips
from rich.console import Console

from flowedit.batch import checking, jobs
from flowedit.batch.checking import checked_entries
from flowedit.batch.index import write_index
from flowedit.batch.manifest import entries_of, find_rows, read_rows
from flowedit.batch.record import Record, is_done, read_record
from flowedit.batch.worker import budget_of, painted
from flowedit.cli.batch import _Bars
from flowedit.cli.main import main
from flowedit.errors import SettingError
from flowedit.media import footage
from flowedit.media.clip import read_video, write_video
from flowedit.run.outputs import asked_of

BROKEN = (
    b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"asked": ["a"]}', b'{"state": "elsewhere"}', b'{"failures": "no"}'
)  # fmt: skip
"""What is no record and no manifest."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder, 3)
    return folder


def read(clips, rows, common=None, out="out", **how):
    entries, faults = entries_of(clips, list(enumerate(rows, start=1)), clips / out, common or {}, **how)
    return entries, [said for _, said in faults]


LINE = {"video": "c0.mp4", "keyframes": ["c0-key-0.png"]}


def test_a_line_stands_over_what_is_common_and_an_option_has_one_name_everywhere(clips):
    """Catches: a common setting that wins, a key that only the command knows, and paths from the working folder.

    And a common style that paints a clip with keyframes of its own.
    """
    common = {"guidance": 3.0, "steps": 4, "preset": "method", "lossless": True, "style": "comic"}
    rows = [{**LINE, "cfg": 2, "frames": 5, "size": "32x48", "id": "a b"}, {"video": "c1.mp4"}]
    (entry, styled), faults = read(clips, rows, common)
    assert not faults
    request = entry.request
    assert (request.settings.guidance, request.settings.steps, request.settings.method) == (2.0, 4, "difference")
    assert (request.num_frames, request.size, request.lossless) == (5, (32, 48), True)
    assert (request.video, request.keyframes) == (clips / "c0.mp4", [(0, clips / "c0-key-0.png")])
    assert (entry.id, request.output, entry.style) == ("a b", clips / "out" / "a b", {})
    assert (styled.style["style"], styled.request.keyframes) == ("comic", ())


def test_keyframes_count_the_files_frames_where_every_nth_is_edited(clips, tmp_path):
    """Catches: a clip's own count for keyframes, and keyframes painted on a window of all frames."""
    key, last = "c0-key-0.png", {"video": "c0.mp4", "every": 2}
    rows = [{**last, "keyframes": {"4": key}, "id": "a"}, {**last, "keyframes": {"3": key}}, {**last, "style": "oil"}]
    (own, styled), (fault,) = read(clips, rows, {"backend": "offline"}, tmp_path)
    assert (own.request.every, own.request.keyframes) == (2, [(2, clips / key)])
    assert fault.startswith("line 2: Keyframe 3 is at no frame that --every 2 takes")
    found = painted(styled, budget_of([styled], tmp_path, 2.0))
    assert (found.start, found.every, found.num_frames) == (0, 2, 5)
    assert {index for index, _ in found.keyframes} <= set(range(5))


def test_csv_says_what_json_lines_say(clips, tmp_path):
    """Catches: cells that stay words or are empty, lists of one, and lines that end where only Unicode has them end."""
    csv = "video,keyframes,at,steps,seed,prompt,gain,lossless\nc0.mp4,c0-key-0.png,0,4,,a\u2028b,euler,true\n"
    said = {**LINE, "at": [0], "steps": 4, "prompt": "a\u2028b", "gain": "euler", "lossless": True}
    line = json.dumps(said, ensure_ascii=False)
    found = []
    for name, text in (("a.csv", csv), ("a.jsonl", line)):
        (tmp_path / name).write_text(text)
        (entry,), faults = entries_of(clips, read_rows(tmp_path / name)[1], clips, {"preset": "method"})
        assert not faults
        found.append(replace(entry, line=0, request=replace(entry.request, keyframes=tuple(entry.request.keyframes))))
    assert found[0] == found[1]


BAD = [
    ("{", "no line"),
    ([1], "no line"),
    ({"keyframes": "a"}, "video is"),
    ({"video": "c0.mp4"}, "give keyframes, or a style"),
    ({**LINE, "stepz": 3}, "stepz is 3: extra inputs"),
    ({**LINE, "steps": "many"}, "steps is 'many'"),
    ({**LINE, "cfg": "x"}, "cfg is 'x'"),
    ({**LINE, "strength": 3}, "strength is 3"),
    ({**LINE, "id": "../x"}, "id is '../x'"),
    ({**LINE, "model": "17B"}, "17B"),
    ({**LINE, "preset": "quick"}, "quick"),
    ({**LINE, "alpha": 1, "kappa": 0.5, "preset": "method"}, "kappa"),
    ({**LINE, "keyframes": "none.png"}, "none.png"),
]


@pytest.mark.parametrize(("row", "said"), BAD, ids=[said for _, said in BAD])
def test_a_line_that_says_nothing_sensible_is_named_by_its_number(clips, row, said):
    entries, (fault,) = read(clips, [LINE, row])
    assert len(entries) == 1
    assert fault.startswith("line 2: ")
    assert said in fault
    assert "\n" not in fault


def test_two_lines_for_one_folder_are_refused(clips):  # catches: two edits that write into one folder
    _, faults = read(clips, [LINE, {**LINE, "steps": 2}, {**LINE, "id": "other"}])
    assert [fault.split(":")[0] for fault in faults] == ["line 1", "line 2"]


def test_a_rule_of_folders_finds_clips_and_mirrors_them(tmp_path, monkeypatch):
    """Catches: results of two folders in one, keyframes looked for in the working folder, and files that are none."""
    for name in ("a", "b"):
        (tmp_path / "in" / name / "c0").mkdir(parents=True)
        make_clips(tmp_path / "in" / name, 1)
        (tmp_path / "in" / name / "c0-key-0.png").rename(tmp_path / "in" / name / "c0" / "k-4.png")
    monkeypatch.chdir(tmp_path)
    base, rows = find_rows("in/**/*.mp4", "{stem}/")
    entries, faults = entries_of(base, rows, tmp_path / "out", {}, mirror=True)
    assert not faults
    assert [entry.id for entry in entries] == ["a/c0", "b/c0"]
    request = entries[1].request
    assert request.output == tmp_path / "out" / "b" / "c0"
    assert request.keyframes == [(4, tmp_path / "in" / "b" / "c0" / "k-4.png")]
    assert len(entries_of(base, rows, tmp_path / "out", {})[1]) == 2
    with pytest.raises(SettingError, match="matches no file"):
        find_rows("none/*.mp4", None)
    outside = [(1, {**LINE, "video": str(tmp_path / "in" / "a" / "c0.mp4")})]
    assert "outside" in entries_of(tmp_path / "in" / "b", outside, tmp_path, {}, mirror=True)[1][0][1]


def test_the_check_names_every_line(clips, monkeypatch, tmp_path):  # catches: a check that ends at the first fault
    (clips / "broken.mp4").write_bytes(b"no video")
    (clips / "broken-0.png").write_bytes(b"no picture")
    faulty = [
        *({"video": "gone.mp4"}, {"video": "broken.mp4"}, {"start": 9}, {"frames": 8}, {"steps": 0}),
        *({"keyframes": {"9": "c0-key-0.png"}}, {"keyframes": {"0": "broken-0.png"}}, {"size": "50x50"}),
        *({"mask": "none.png"}, {"keyframes": None, "style": "no such look"}),
    ]
    rows = [LINE, {**LINE, "keyframes": {"0": "c0-key-0.png"}, "size": "32x32", "id": "fits"}]
    rows += [{**LINE, **fault, "id": str(i)} for i, fault in enumerate(faulty)]
    with pytest.raises(SettingError) as refused:
        checked_entries(clips, list(enumerate(rows, start=1)), tmp_path, {})
    first, *faults = str(refused.value).splitlines()
    assert first == "nothing is begun:"
    assert [fault.split()[1].strip(":") for fault in faults] == [str(number) for number in range(3, 13)], faults
    monkeypatch.setattr(checking, "PIXEL_BYTES", 1e15)
    with pytest.raises(SettingError, match="GB are free"):
        checked_entries(clips, [(1, LINE)], tmp_path, {})


def test_the_check_opens_a_video_once_and_decodes_no_frame(clips, monkeypatch, tmp_path):
    """Catches: a video opened once a line, or twice, and a frame decoded to learn what the header says."""
    opened, by_path, by_name = Counter(), Path.open, av.open
    monkeypatch.setattr(Path, "open", lambda path, *how: opened.update([path.name]) or by_path(path, *how))
    monkeypatch.setattr(av, "open", lambda file, **how: opened.update([f"film {file.name}"]) or by_name(file, **how))
    monkeypatch.setattr(footage, "_decoded", lambda *_: pytest.fail("a frame is decoded"))
    monkeypatch.setattr(checking.subprocess, "run", lambda *_, **__: pytest.fail("a frame may be decoded"))
    rows = [{**LINE, "video": f"c{i % 3}.mp4", "keyframes": [f"c{i % 3}-key-0.png"], "id": f"{i}"} for i in range(9)]
    assert len(checked_entries(clips, list(enumerate(rows, start=1)), tmp_path, {})) == 9
    films = [f"c{i}.mp4" for i in range(3)]
    assert opened == dict.fromkeys([*films, *(f"film {clips / film}" for film in films)], 1)


def test_a_film_that_ends_its_decoder_is_named_by_its_line(clips, monkeypatch):
    """Catches: a check that dies (SIGSEGV) with the film, which its own process decodes, and films after it unseen."""
    for name in "abc":
        write_video(clips / f"{name}.mkv", read_video(clips / "c0.mp4").frames, 8)
    crash = "import ctypes\nfrom flowedit.media import clip\nprobe = clip.probe\n"
    crash += "clip.probe = lambda video: ctypes.string_at(0) if video.stem == 'b' else probe(video)\n"
    monkeypatch.setattr(checking, "_CHILD", crash + checking._CHILD)
    rows = [(i, {**LINE, "video": f"{name}.mkv", "start": 40 * (i == 3)}) for i, name in enumerate("abc", start=1)]
    with pytest.raises(SettingError) as refused:
        checked_entries(clips, rows, clips / "out", {})
    _, crashed, late = str(refused.value).splitlines()
    assert crashed.startswith(f"  line 2 (b): {clips / 'b.mkv'} ends the program that decodes it (status -11);")
    assert late.startswith("  line 3 (c): --start is 40")


def test_words_that_only_gemini_reads_need_its_key(clips, monkeypatch):  # catches: refused where a key is there
    rows = [(1, {"video": "c0.mp4", "describe": "as my aunt would have it"})]
    with pytest.raises(SettingError, match=r"line 1 .*no look matches"):
        checked_entries(clips, rows, clips / "out", {})
    monkeypatch.setenv("GOOGLE_API_KEY", "a key")
    assert checked_entries(clips, rows, clips / "out", {})


def test_the_command_checks_all_lines_before_any_work_and_says_what_becomes_of_them(clips, monkeypatch, capsys):
    """Catches: work beside a line at fault, a check that leaves something behind, and status 0 for a clip set aside."""
    monkeypatch.setattr(jobs, "batch_steps", lambda *_: pytest.fail("work has begun"))

    def said(lines, *options):
        (clips / "two.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
        with pytest.raises(SystemExit) as end:
            main(["batch", str(clips / "two.jsonl"), "-o", str(clips / "o"), "--steps", "2", *options])
        return end.value.code, *capsys.readouterr()

    status, _, err = said([LINE, {**LINE, "id": "x", "start": 40}])
    assert (status, "  line 3 (x): --start is 40 and" in err) == (2, True)
    assert said([LINE], "--dry-run") == (0, "1 clip, nothing amiss\n", "")
    assert not (clips / "o").exists()
    running = Record(id="c0", state="running")
    news = [running, replace(running, stage="denoising"), Record(id="c0", state="quarantined", reason="broke")]
    monkeypatch.setattr(jobs, "batch_steps", lambda *_: (each for each in news))
    status, out, err = said([LINE])
    assert (status, out) == (1, f"1 quarantined\n{clips / 'o' / 'index.html'}\n")
    assert err == "0/1 c0: starting\n1/1 c0: quarantined (broke)\n"
    _, out, err = said([LINE], "--json")
    assert ([json.loads(line)["state"] for line in out.splitlines()], "index.html" in err) == (
        ["running", "running", "quarantined"],
        True,
    )


def test_the_bars_tell_the_time_left_by_clips_that_were_not_skipped(monkeypatch):
    """Catches: a time left that 90 skipped clips make short, and a bar that stays behind its clip."""
    console = Console(force_terminal=True, file=StringIO())
    bars, now = _Bars(console, 100), [0.0]
    monkeypatch.setattr(bars, "get_time", lambda: now[0])
    for i in range(98):
        if i >= 90:
            bars.show(Record(id=f"c{i}", state="running", stage="denoising", done=1, total=4))
            assert [task.description for task in bars.tasks[1:]] == [f"c{i}: denoising"]
            now[0] += 10
        bars.show(Record(id=f"c{i}", state="done" if i >= 90 else "skipped"))
    (whole,) = bars.tasks
    assert (whole.fields["steps"], whole.time_remaining) == ("98/100", 20)


def test_without_ray_one_line_says_how_to_get_it(clips):
    """Catches: a traceback, and Ray needed for a check alone."""
    code = "import sys; sys.modules['ray'] = None; from flowedit.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "batch", "clips.jsonl", "-o", "out-none"]
    found = subprocess.run(command, cwd=clips, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "flowedit: Ray is not installed, and runs a batch: pip install 'flowedit[cluster]'.\n"


def test_done_is_what_was_asked_for_by_content(clips, tmp_path):
    """Catches: other settings, another file under the same name, or a run without its result taken for done."""
    entry = entries_in(clips / "clips.jsonl", tmp_path)[0]
    request = entry.request
    assert not is_done(request.output, asked_of(request))
    request.output.mkdir(parents=True)
    Pretended(seconds=0)(request, print)
    assert is_done(request.output, asked_of(request))
    assert is_done(request.output, asked_of(replace(request, placement="cpu")))
    others = [
        replace(request, settings=request.settings.with_(seed=3)),
        replace(request, keyframes=[(4, request.keyframes[0][1])]),
        replace(request, video=clips / "c1.mp4"),
        replace(request, lossless=True),
    ]
    assert not any(is_done(request.output, asked_of(other)) for other in others)
    for broken in BROKEN:
        (request.output / "run.json").write_bytes(broken)
        assert not is_done(request.output, asked_of(request)), broken[:40]
    Pretended(seconds=0)(request, print)
    (request.output / "edited.mp4").unlink()
    assert not is_done(request.output, asked_of(request))


def test_a_record_is_kept_and_a_broken_one_begins_anew(clips, tmp_path):
    entry = entries_in(clips / "clips.jsonl", tmp_path)[0]
    assert read_record(entry) == Record(id="c0")
    entry.request.output.mkdir(parents=True)
    record = Record(id="c0", starts=2).failed("two\nlines", 1)
    assert (record.state, record.failures, record.reason) == ("failed", 1, "two lines")
    assert record.failed("again", 1).state == "quarantined"
    assert record.kept(entry) == read_record(entry)
    for broken in BROKEN:
        (entry.request.output / "batch.json").write_bytes(broken)
        assert read_record(entry) == Record(id="c0"), broken[:40]


def test_the_page_shows_every_clip_and_failures_are_lines(clips, tmp_path):  # catches: a name that becomes HTML
    entries = entries_in(clips / "clips.jsonl", tmp_path)
    records = [
        Record(id="c0", state="done", seconds=3.25, starts=1),
        Record(id="c1", state="quarantined", failures=3, reason="<b> broke"),
        Record(id="c2", state="stopped"),
    ]
    page = write_index(tmp_path, entries, {record.id: record for record in records}).read_text()
    assert page.count("<tr") == 4
    assert '<a href="c0/report.html">' in page
    assert "&lt;b&gt; broke" in page
    assert "<caption>1 done, 1 quarantined, 1 stopped</caption>" in page
    (line,) = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert json.loads(line) == {"line": 2, "id": "c1", "failures": 3, "reason": "<b> broke"}
