"""Fetching: sizes first, room on the disk, the hubs' own clients, checked arrivals, `.pth` copied to safetensors."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from official import official_shapes, write_sparse
from safetensors.torch import load_file
from typer.testing import CliRunner

from flowedit.cli import models as command
from flowedit.errors import ModelError, OutputError
from flowedit.wan import fetch, files, loading
from flowedit.wan.checkpoints import TOKENIZER, resolve
from flowedit.wan.placement import needs_of, own_clip

ENTRY = resolve("Wan2.1-T2V-1.3B")
SIZES = {
    "diffusion_pytorch_model*.safetensors": [3_000, 2_000],
    "models_t5_umt5-xxl-enc-bf16.pth": [700],
    "models_t5_umt5-xxl-enc-bf16.safetensors": [800],
    "Wan2.1_VAE.pth": [60],
    "Wan2.1_VAE.safetensors": [70],
    "google/umt5-xxl/*": [5, 1],
}


def arrive(repository, pattern, folder):
    """Leave what the hub would leave: true headers, no weights."""
    if pattern == f"{TOKENIZER[1]}*":
        target = folder / TOKENIZER[1]
        target.mkdir(parents=True)
        (target / "tokenizer_config.json").write_text("{}")
        return
    part = next(p for p in ENTRY.parts if (repository, pattern) in (p.modelscope, p.huggingface))
    path = folder / pattern.replace("*", "")
    if path.suffix == ".pth":
        path.parent.mkdir(parents=True, exist_ok=True)
        shapes = official_shapes(part.hash)
        torch.save({name: torch.full(shape, 0.5).bfloat16() for name, shape in shapes.items()}, path)
    else:
        write_sparse(path, official_shapes(part.hash))


@pytest.fixture
def hub(monkeypatch):
    """Both hubs, answering from `SIZES`; what is asked of them is noted, and can be replaced."""
    hub = SimpleNamespace(asked=[], download=arrive, sizes=lambda repository, pattern, folder: SIZES[pattern])

    def client(repository, pattern, folder, dry):
        if dry:
            return hub.sizes(repository, pattern, folder)
        hub.asked.append(pattern)
        return hub.download(repository, pattern, folder) or []

    for name in fetch.HUBS:
        monkeypatch.setitem(fetch.HUBS, name, client)
    return hub


def plan_for(folder, source="modelscope"):
    return fetch.make_plan(ENTRY, source=source, folder=folder)


def run(plan):
    said = []
    fetch.fetch(plan, report=said.append)
    return said


@pytest.mark.parametrize(("source", "size"), [("modelscope", 5876), ("huggingface", 5766)])
def test_the_size_counts_what_is_wanted_and_nothing_else(tmp_path, hub, source, size):
    assert plan_for(tmp_path, source).missing_bytes == size


def test_fetched_parts_are_found_by_the_loader_and_not_fetched_again(tmp_path, monkeypatch, hub):
    run(plan_for(tmp_path))
    monkeypatch.setenv(files.BASE_PATH_VARIABLE, str(tmp_path))
    located = loading.locate(ENTRY.name)
    assert set(located.files) == {"dit", "text", "vae"}
    assert located.tokenizer == tmp_path / TOKENIZER[0] / TOKENIZER[1]
    again, hub.download = plan_for(tmp_path), pytest.fail
    assert again.missing_bytes == 0
    assert run(again) == [f"{part}: already here" for part in ("dit", "text", "vae", "tokenizer")]


def test_a_stopped_download_goes_on_with_what_is_missing(tmp_path, hub):
    def break_at_the_text(repository, pattern, folder):
        if "t5" in pattern:
            raise ConnectionError("reset by peer\nmore")
        arrive(repository, pattern, folder)

    hub.download = break_at_the_text
    with pytest.raises(ModelError, match=r"reset by peer.*again") as caught:
        run(plan_for(tmp_path))
    assert "\n" not in str(caught.value)
    assert plan_for(tmp_path).missing_bytes == 876
    hub.asked.clear()
    hub.download = arrive
    run(plan_for(tmp_path))
    names = [pattern.split(".")[0] for pattern in hub.asked]
    assert names == ["models_t5_umt5-xxl-enc-bf16", "Wan2", "google/umt5-xxl/*"]


def test_too_little_room_is_said_before_anything_is_downloaded(tmp_path, hub):
    hub.sizes, hub.download = lambda *_: [10**15], pytest.fail
    with pytest.raises(OutputError, match="--to"):
        run(plan_for(tmp_path))


@pytest.mark.parametrize(
    ("answer", "words"),
    [(ConnectionError("no route"), r"could not be fetched from modelscope \(no route\)"), ([], "has no file")],
)
def test_a_silent_hub_and_a_repository_that_lacks_the_file_are_one_line(tmp_path, hub, answer, words):
    hub.sizes = Mock(side_effect=[answer])
    with pytest.raises(ModelError, match=words):
        plan_for(tmp_path)


def test_what_came_is_checked(tmp_path, hub):
    def swapped(repository, pattern, folder):
        write_sparse(folder / pattern.replace("*", ""), official_shapes(ENTRY.part("vae").hash))

    hub.download = swapped
    with pytest.raises(ModelError, match=r"should be the dit of .* and holds a Wan VAE"):
        run(plan_for(tmp_path))


def test_a_pth_becomes_the_same_safetensors(tmp_path):
    state = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "turned": torch.randn(2, 3).T}
    state |= {"scalar": torch.tensor(2.5), "ids": torch.arange(3)}
    torch.save({"model_state": state}, tmp_path / "x.pth")
    copied = load_file(fetch.convert_pth(tmp_path / "x.pth"))
    assert copied.keys() == state.keys()
    for name, tensor in state.items():
        assert copied[name].dtype == tensor.dtype
        assert torch.equal(copied[name], tensor)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.pth", "x.safetensors"]


def test_a_pth_part_is_copied_and_found(tmp_path, hub):
    part = ENTRY.part("vae")
    repository, pattern = part.huggingface
    item = fetch.Download(repository=repository, pattern=pattern, size=10, part=part, here=False)
    run(fetch.Plan(checkpoint=ENTRY, source="huggingface", folder=tmp_path, downloads=(item,)))
    assert [path.suffix for path in (tmp_path / repository).iterdir()] == [".safetensors"]
    assert files.is_fetched(part, tmp_path)


def test_the_hubs_clients_get_repository_pattern_and_folder(tmp_path, monkeypatch):
    """Catches: a client's own cache folder, and every file of a repository that holds six checkpoints."""
    calls = []

    def client(repository, **given):
        calls.append((repository, given))
        return [SimpleNamespace(file_size=7), SimpleNamespace(file_size=None)]

    monkeypatch.setattr("huggingface_hub.snapshot_download", client)
    monkeypatch.setattr("modelscope.snapshot_download", client)
    from modelscope.hub.api import HubApi

    listed = [{"Path": "part-1.safetensors", "Size": 7}, {"Path": "README.md", "Size": 9}]
    monkeypatch.setattr(HubApi, "get_model_files", lambda *_, **__: listed)
    asked = ("owner/name", "part*.safetensors", tmp_path)
    assert fetch.HUBS["huggingface"](*asked, True) == [7, 0]
    assert fetch.HUBS["modelscope"](*asked, True) == [7]
    for client in fetch.HUBS.values():
        client(*asked, False)
    assert [repository for repository, _ in calls] == ["owner/name"] * 3
    assert [given.pop("dry_run", None) for _, given in calls] == [True, None, False]
    for _, given in calls:
        assert str(given["local_dir"]) == str(tmp_path)
        assert "part*.safetensors" in given.values()
        assert len(given) == 2


class TestCommand:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch, hub):
        monkeypatch.setenv(files.BASE_PATH_VARIABLE, str(tmp_path))
        monkeypatch.setenv("COLUMNS", "200")

    def run(self, *arguments, **given):
        return CliRunner().invoke(command.app, list(arguments), **given)

    def test_list_names_every_checkpoint(self):
        shown = self.run("list").output
        assert "Wan2.1-FLF2V-14B-720P" in shown
        assert "first-latent" in shown
        row = next(line for line in shown.splitlines() if ENTRY.name in line)
        assert f"{needs_of(ENTRY, own_clip(ENTRY), 'disk', keyframes=5).gpu / 1e9:.1f} GB" in row

    def test_fetch_says_what_the_alias_is_whose_it_is_and_its_licence(self, hub):
        hub.download = pytest.fail
        shown = self.run("fetch", "1.3B", input="n\n").output
        assert shown.startswith("Wan2.1-Fun-1.3B-InP, Apache-2.0. By alibaba-pai, not by the Wan team")

    def test_fetch_shows_the_size_and_asks_before_downloading(self, hub):
        hub.download = pytest.fail
        result = self.run("fetch", ENTRY.name, input="n\n")
        assert result.exit_code == 1
        assert "0.0 GB to download" in result.output
        assert "free there" in result.output

    def test_fetch_downloads_to_the_folder_asked_for(self, tmp_path):
        result = self.run("fetch", ENTRY.name, "--to", str(tmp_path / "other"), "--yes")
        assert result.exit_code == 0, result.output
        assert f"Give {tmp_path / 'other'} as the model" in result.output
        assert loading.locate(tmp_path / "other").checkpoint is ENTRY
