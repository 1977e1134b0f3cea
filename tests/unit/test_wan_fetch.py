"""Fetching: sizes first, room on the disk, the vendor's downloader, checked arrivals, `.pth` copied to safetensors."""

import diffsynth.core.loader.config as vendor_config
import pytest
import torch
from official import official_shapes, write_sparse
from safetensors.torch import load_file
from typer.testing import CliRunner

from flowedit.cli import models as command
from flowedit.errors import ModelError, OutputError
from flowedit.wan import fetch, loading
from flowedit.wan.checkpoints import TOKENIZER, resolve
from flowedit.wan.fit import needs_of, own_clip

ENTRY = resolve("Wan2.1-T2V-1.3B")
SIZES = {
    "Wan-AI/Wan2.1-T2V-1.3B": {
        "diffusion_pytorch_model.safetensors": 5_000,
        "models_t5_umt5-xxl-enc-bf16.pth": 700,
        "Wan2.1_VAE.pth": 60,
        "google/umt5-xxl/tokenizer.json": 5,
        "google/umt5-xxl/tokenizer_config.json": 1,
        "README.md": 10**9,
    },
    "DiffSynth-Studio/Wan-Series-Converted-Safetensors": {
        "models_t5_umt5-xxl-enc-bf16.safetensors": 800,
        "Wan2.1_VAE.safetensors": 70,
    },
}


def arrive(repository, pattern, folder):
    """Leave what the hub would leave: true headers, no weights."""
    if repository == TOKENIZER[0] and pattern == TOKENIZER[1]:
        target = folder / repository / pattern
        target.mkdir(parents=True)
        (target / "tokenizer_config.json").write_text("{}")
        return
    part = next(p for p in ENTRY.parts if (repository, pattern) in (p.modelscope, p.huggingface))
    path = folder / repository / pattern.replace("*", "")
    if path.suffix == ".pth":
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {name: torch.full(shape, 0.5).bfloat16() for name, shape in official_shapes(part.hash).items()}, path
        )
    else:
        write_sparse(path, official_shapes(part.hash))


def plan_for(folder, source="modelscope"):
    return fetch.make_plan(ENTRY, source=source, folder=folder, lister=SIZES.__getitem__)


@pytest.mark.parametrize(("source", "size"), [("modelscope", 5876), ("huggingface", 5766)])
def test_the_size_counts_what_is_wanted_and_nothing_else(tmp_path, source, size):
    assert plan_for(tmp_path, source).missing_bytes == size


def test_fetched_parts_are_found_by_the_loader_and_not_fetched_again(tmp_path, monkeypatch):
    said = []
    fetch.fetch(plan_for(tmp_path), download=arrive, report=said.append)
    monkeypatch.setenv(loading.BASE_PATH_VARIABLE, str(tmp_path))
    located = loading.locate(ENTRY.name)
    assert set(located.files) == {"dit", "text", "vae"}
    assert located.tokenizer == tmp_path / TOKENIZER[0] / TOKENIZER[1]
    again = plan_for(tmp_path)
    assert again.missing_bytes == 0
    fetch.fetch(again, download=None, report=said.append)
    assert said[-4:] == ["dit: already here", "text: already here", "vae: already here", "tokenizer: already here"]


def test_a_stopped_download_goes_on_with_what_is_missing(tmp_path):
    asked = []

    def break_at_the_text(repository, pattern, folder):
        asked.append(pattern)
        if "t5" in pattern:
            raise ConnectionError("reset by peer\nmore")
        arrive(repository, pattern, folder)

    with pytest.raises(ModelError, match=r"reset by peer.*again") as caught:
        fetch.fetch(plan_for(tmp_path), download=break_at_the_text, report=lambda line: None)
    assert "\n" not in str(caught.value)
    assert plan_for(tmp_path).missing_bytes == 876
    asked.clear()
    fetch.fetch(plan_for(tmp_path), download=lambda *a: (asked.append(a[1]), arrive(*a)), report=lambda line: None)
    assert [pattern.split(".")[0] for pattern in asked] == ["models_t5_umt5-xxl-enc-bf16", "Wan2", "google/umt5-xxl/"]


def test_too_little_room_is_said_before_anything_is_downloaded(tmp_path):
    big = {repository: {path: size * 10**12 for path, size in files.items()} for repository, files in SIZES.items()}
    plan = fetch.make_plan(ENTRY, folder=tmp_path, lister=big.__getitem__)
    with pytest.raises(OutputError, match="--to"):
        fetch.fetch(plan, download=pytest.fail, report=lambda line: None)


def test_a_silent_hub_is_one_line(tmp_path):
    def offline(repository):
        raise ConnectionError("no route")

    with pytest.raises(ModelError, match="does not answer"):
        fetch.make_plan(ENTRY, folder=tmp_path, lister=offline)


def test_a_repository_that_lacks_the_file(tmp_path):
    with pytest.raises(ModelError, match="has no file"):
        fetch.make_plan(ENTRY, folder=tmp_path, lister=lambda repository: {"README.md": 1})


def test_what_came_is_checked(tmp_path):
    def swapped(repository, pattern, folder):
        write_sparse(folder / repository / pattern.replace("*", ""), official_shapes(ENTRY.part("vae").hash))

    with pytest.raises(ModelError, match="holds a Wan VAE, not the dit"):
        fetch.fetch(plan_for(tmp_path), download=swapped, report=lambda line: None)


def test_a_pth_becomes_the_same_safetensors(tmp_path):
    state = {
        "a": torch.randn(3, 4),
        "b": torch.randn(5).bfloat16(),
        "turned": torch.randn(2, 3).T,
        "scalar": torch.tensor(2.5),
        "ids": torch.arange(3),
    }
    torch.save({"model_state": state}, tmp_path / "x.pth")
    copied = load_file(fetch.convert_pth(tmp_path / "x.pth"))
    assert copied.keys() == state.keys()
    for name, tensor in state.items():
        assert copied[name].dtype == tensor.dtype
        assert torch.equal(copied[name], tensor)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.pth", "x.safetensors"]


def test_a_pth_part_is_copied_and_found(tmp_path):
    part = ENTRY.part("vae")
    plan = fetch.Plan(
        checkpoint=ENTRY,
        source="huggingface",
        folder=tmp_path,
        downloads=(
            fetch.Download(repository=part.huggingface[0], pattern=part.huggingface[1], size=10, part=part, here=False),
        ),
    )
    fetch.fetch(plan, download=arrive, report=lambda line: None)
    assert [path.suffix for path in (tmp_path / part.huggingface[0]).iterdir()] == [".safetensors"]
    assert loading.is_fetched(part, tmp_path)


@pytest.mark.parametrize(
    ("source", "name", "argument"),
    [
        ("modelscope", "snapshot_download", "allow_file_pattern"),
        ("huggingface", "hf_snapshot_download", "allow_patterns"),
    ],
)
def test_the_vendors_downloader_gets_repository_pattern_and_folder(tmp_path, monkeypatch, source, name, argument):
    calls = []
    monkeypatch.setattr(vendor_config, name, lambda repository, **given: calls.append((repository, given)))
    monkeypatch.setenv(loading.BASE_PATH_VARIABLE, "/somewhere/else")
    fetch._vendor_downloader(source)("owner/name", "part*.safetensors", tmp_path)
    ((repository, given),) = calls
    assert repository == "owner/name"
    assert given[argument] == "part*.safetensors"
    assert given["local_dir"] == str(tmp_path / "owner/name")


class TestCommand:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv(loading.BASE_PATH_VARIABLE, str(tmp_path))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setitem(fetch._LISTERS, "modelscope", SIZES.__getitem__)

    def run(self, *arguments, **given):
        return CliRunner().invoke(command.app, list(arguments), **given)

    def test_list_names_every_checkpoint(self):
        shown = self.run("list").output
        assert "Wan2.1-FLF2V-14B-720P" in shown
        assert "first-latent" in shown
        row = next(line for line in shown.splitlines() if ENTRY.name in line)
        assert f"{needs_of(ENTRY, own_clip(ENTRY), 'disk', keyframes=5).gpu / 1e9:.1f} GB" in row

    def test_show_says_where_it_comes_from_and_what_the_alias_is(self):
        shown = self.run("show", "1.3B").output
        assert "1.3B is Wan2.1-Fun-1.3B-InP." in shown
        assert "no official 1.3B image-to-video" in shown
        assert "PAI/Wan2.1-Fun-1.3B-InP" in shown
        entry = resolve("1.3B")
        for level in ("resident", "offload", "fp8", "disk", "cpu"):
            needs = needs_of(entry, own_clip(entry), level, keyframes=5)
            row = next(line for line in shown.splitlines() if f" {level} " in line)
            assert f"{needs.host / 1e9:.1f} GB" in row
            assert not needs.gpu or f"{needs.gpu / 1e9:.1f} GB" in row

    def test_fetch_shows_the_size_and_asks_before_downloading(self, monkeypatch):
        monkeypatch.setattr(fetch, "_vendor_downloader", lambda source: pytest.fail)
        result = self.run("fetch", ENTRY.name, input="n\n")
        assert result.exit_code == 1
        assert "0.0 GB to download" in result.output
        assert "free there" in result.output

    def test_fetch_downloads_to_the_folder_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.setattr(fetch, "_vendor_downloader", lambda source: arrive)
        result = self.run("fetch", ENTRY.name, "--to", str(tmp_path / "other"), "--yes")
        assert result.exit_code == 0, result.output
        assert f"Give {tmp_path / 'other'} as the model" in result.output
        assert loading.locate(tmp_path / "other").checkpoint is ENTRY

    def test_another_hub_is_refused(self):
        assert "use modelscope or huggingface" in str(self.run("fetch", "1.3B", "--source", "ftp").exception)
