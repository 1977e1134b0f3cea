"""The registry against the vendor's table, and the loading of every entry, without the weights."""

import pickle

import pytest
import torch
from diffsynth.configs import MODEL_CONFIGS
from official import lay_out, loaded_weights, official_shapes, write_shards, write_sparse
from safetensors.torch import save_file

from flowedit.errors import ModelError
from flowedit.wan import files, loading
from flowedit.wan.checkpoints import ALIASES, CHECKPOINTS, resolve

ENTRIES = [pytest.param(entry, id=name) for name, entry in CHECKPOINTS.items()]
PARTS = {part.hash: part for entry in CHECKPOINTS.values() for part in entry.parts}
VENDOR_NAMES = {
    "dit": "wan_video_dit", "dit2": "wan_video_dit", "text": "wan_video_text_encoder", "vae": "wan_video_vae",
    "image": "wan_video_image_encoder",
}  # fmt: skip


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv(files.BASE_PATH_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def shapes_of(name, role="dit"):
    return official_shapes(resolve(name).part(role).hash)


def vendor_configs(value):
    return [config for config in MODEL_CONFIGS if config["model_hash"] == value]


@pytest.mark.parametrize("part", [pytest.param(p, id=f"{p.role} of {p.huggingface[0]}") for p in PARTS.values()])
def test_official_names_and_shapes_give_the_hash_in_the_vendors_table(part):
    assert files.fingerprint(official_shapes(part.hash)) == part.hash
    assert VENDOR_NAMES[part.role] in {config["model_name"] for config in vendor_configs(part.hash)}
    assert loaded_weights(part.hash) == part.weights


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_entry_agrees_with_the_vendors_settings(entry):
    for config in vendor_configs(entry.part("dit").hash):
        settings = config.get("extra_kwargs", {})
        if config["model_name"] == "wan_video_vace":
            layers = settings.get("vace_layers", tuple(range(0, 30, 2)))
            assert len(layers) == entry.width.vace_layers
            continue
        width = entry.width
        assert (width.dim, width.ffn, width.heads, width.layers) == tuple(
            settings[name] for name in ("dim", "ffn_dim", "num_heads", "num_layers")
        )
        assert settings["out_dim"] == entry.latent_channels
        takes_y = settings["in_dim"] == 2 * settings["out_dim"] + 4
        assert takes_y == (entry.image_route == "i2v")
        assert bool(settings.get("fuse_vae_embedding_in_latents")) == (entry.image_route == "first-latent")
        assert settings["has_image_input"] == any(part.role == "image" for part in entry.parts)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_every_entry_is_found_where_the_downloader_puts_it_by_name_and_by_folder(entry, hub, models):
    if hub == "huggingface":  # the .pth parts are tested below: a sparse file cannot stand in for them
        parts = [part for part in entry.parts if part.role in ("dit", "dit2")]
        entry = entry.__class__(**{**vars(entry), "parts": tuple(parts)})
    lay_out(entry, models, hub)
    roles = [part.role for part in entry.parts]
    for place in (entry.name, models.with_name(entry.name)):
        located = loading.locate(models.rename(place) if place != entry.name else place, roles)
        assert located.checkpoint.name == entry.name
        assert {role: file.hash for role, file in located.files.items()} == {p.role: p.hash for p in entry.parts}


def test_aliases_name_entries_and_an_unknown_name_lists_them():
    assert {resolve(alias).name for alias in ALIASES} == set(ALIASES.values())
    with pytest.raises(ModelError, match=r"Wan2\.1-VACE-1\.3B"):
        resolve("Wan3")


def test_experts_are_told_apart_by_their_folders(models):
    lay_out(resolve("Wan2.2-I2V-A14B"), models)
    located = loading.locate(models)
    assert "high_noise_model" in str(located.files["dit"].paths[0])
    assert "low_noise_model" in str(located.files["dit2"].paths[0])


def test_experts_without_telling_names_are_refused(tmp_path, models):
    for name in ("one", "two"):
        write_sparse(tmp_path / "experts" / name / "model.safetensors", shapes_of("Wan2.2-I2V-A14B"))
    with pytest.raises(ModelError, match="high_noise_model"):
        loading.locate(tmp_path / "experts", ["dit"])


class TestBrokenFiles:
    """Each way in which files go wrong gives one line that says what and where."""

    @pytest.fixture
    def dit(self, models):
        lay_out(resolve("Wan2.1-T2V-1.3B"), models)
        return models / "Wan-AI/Wan2.1-T2V-1.3B/diffusion_pytorch_model.safetensors"

    def refused(self, words):
        with pytest.raises(ModelError, match=words) as caught:
            loading.locate("Wan2.1-T2V-1.3B")
        assert "\n" not in str(caught.value)

    def test_missing(self, dit):
        dit.unlink()
        self.refused("models fetch Wan2.1-T2V-1.3B")

    @pytest.mark.parametrize(
        "broken",
        [
            lambda whole: whole[:-1],
            lambda whole: whole[:1000],
            lambda whole: whole + b"x",
            lambda whole: b"",
            lambda whole: b"<!doctype html><title>Please log in</title>" * 9,
        ],
        ids=["cut", "cut inside the header", "longer than it says", "empty", "a web page saved in its place"],
    )
    def test_not_whole(self, models, broken):
        path = models / "Wan-AI/Wan2.1-T2V-1.3B/diffusion_pytorch_model.safetensors"
        path.parent.mkdir(parents=True)
        save_file({f"block.{number}": torch.zeros(3) for number in range(99)}, path)
        path.write_bytes(broken(path.read_bytes()))
        self.refused("was cut, or is not a safetensors file")

    def test_a_pth_renamed_and_a_git_lfs_pointer(self, dit):
        torch.save({"weight": torch.zeros(2)}, dit)
        self.refused("looks like a .pth")
        dit.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
        self.refused("Git LFS pointer")

    @pytest.mark.parametrize(
        ("held", "words"),
        [
            (lambda own: shapes_of("1.3B", "vae"), "should be the dit of Wan2.1-T2V-1.3B and holds a Wan VAE"),
            (lambda own: shapes_of("1.3B"), "holds the transformer of Wan2.1-Fun-1.3B-InP"),
            (lambda own: {"conv.weight": [3, 3]}, "does not know"),
            (lambda own: {**own, "patch_embedding.bias": [1537]}, "does not know"),
        ],
        ids=["the VAE", "another transformer", "something else", "one tensor of another shape"],
    )
    def test_other_weights_under_the_transformers_name(self, dit, held, words):
        write_sparse(dit, held(shapes_of("Wan2.1-T2V-1.3B")))
        self.refused(words)

    def test_a_shard_is_missing_or_another_models(self, dit):
        shapes = shapes_of("Wan2.1-T2V-1.3B")
        dit.unlink()
        _, shard = write_shards(dit.parent, shapes, 2)
        write_sparse(shard, {name: shapes[name] for name in list(shapes)[:5]})
        self.refused("mixed")
        shard.unlink()
        self.refused("lacks shard 2 of 2")

    def test_a_folder_with_two_transformers(self, models):
        for name in ("Wan2.1-T2V-1.3B", "Wan2.1-VACE-1.3B"):
            lay_out(resolve(name), models)
        with pytest.raises(ModelError, match="mixes checkpoints"):
            loading.locate(models)

    def test_a_folder_whose_vae_is_another_models(self, tmp_path, models):
        write_sparse(tmp_path / "own" / "dit.safetensors", shapes_of("Wan2.1-T2V-1.3B"))
        write_sparse(tmp_path / "own" / "vae.safetensors", shapes_of("Wan2.2-TI2V-5B", "vae"))
        with pytest.raises(ModelError, match=r"mixes checkpoints: vae\.safetensors"):
            loading.locate(tmp_path / "own", ["dit", "vae"])

    def test_nothing_there(self, tmp_path, models):
        for place, words in ((tmp_path, "holds no"), ("nowhere/at/all", "no file or folder")):
            with pytest.raises(ModelError, match=words):
                loading.locate(place)

    def test_a_transformer_that_flowedit_does_not_drive(self, tmp_path, models):
        control = "349723183fc063b2bfc10bb2835cf677"
        write_sparse(tmp_path / "control.safetensors", official_shapes(control))
        with pytest.raises(ModelError, match="does not drive"):
            loading.locate(tmp_path / "control.safetensors", ["dit"])


class _Payload:
    def __reduce__(self):
        return (print, ("unpickling ran code",))


class TestPth:
    """A `.pth` is read weights-only, whatever wrapper it has, and never when it holds more than tensors."""

    def test_the_official_vae_is_recognised(self, tmp_path):
        part = resolve("1.3B").part("vae")
        state = {name: torch.zeros(shape, dtype=torch.bfloat16) for name, shape in official_shapes(part.hash).items()}
        path = tmp_path / "Wan2.1_VAE.pth"
        torch.save({"model_state": state}, path)
        assert files.read_weights([path]) == files.WeightFile((path,), part.hash, "vae")

    def test_code_is_refused_and_not_run(self, tmp_path, capsys):
        path = tmp_path / "evil.pth"
        torch.save({"weight": torch.zeros(2), "payload": _Payload()}, path)
        with pytest.raises(ModelError, match="could run code: refused"):
            files.read_shapes(path)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("content", [None, b"", b"\x00" * 99, pickle.dumps([1, 2], protocol=2)])
    def test_something_else(self, tmp_path, content):
        path = tmp_path / "else.pth"
        torch.save({"weight": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:-500] if content is None else content)
        with pytest.raises(ModelError, match="broken" if content is None else r"else\.pth"):
            files.read_shapes(path)

    def test_a_safetensors_copy_is_preferred(self, tmp_path):
        torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pth")
        save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
        assert [file.paths[0].suffix for file in files.scan(tmp_path)] == [".safetensors"]
