"""The cache gives back what was put in, by content, and stays under its cap."""

import os
from types import SimpleNamespace

import pytest
import torch

from flowedit.wan import encodings
from flowedit.wan.encodings import EncodingCache, remember_encodings


def never():
    raise AssertionError("made again")


def made_anew(cache, key):
    """Whether the tensor of a key has to be made."""
    calls = []
    cache.get(key, lambda: calls.append(key) or torch.ones(1))
    return bool(calls)


def test_made_once_and_read_back_in_every_bit(tmp_path):
    value = torch.randn(3, 5).to(torch.bfloat16)
    for make in (lambda: value, never):
        found = EncodingCache(tmp_path).get(("text", "a cat"), make)
        assert torch.equal(found, value)
        assert found.dtype == torch.bfloat16


@pytest.mark.parametrize(
    "other",
    [("text", torch.zeros(2)), ("latent", torch.zeros(2, 1)), ("latent", torch.full((2,), 1e-3)),
     ("latent", torch.zeros(2), "v2")],
)  # fmt: skip
def test_another_key_is_another_entry(tmp_path, other):
    cache = EncodingCache(tmp_path)
    cache.get(("latent", torch.zeros(2)), lambda: torch.zeros(1))
    assert not made_anew(cache, ("latent", torch.zeros(2)))
    assert made_anew(cache, other)


def test_a_broken_entry_is_made_anew(tmp_path):
    cache = EncodingCache(tmp_path)
    cache.get(("a",), lambda: torch.zeros(1))
    next(tmp_path.iterdir()).write_bytes(b"broken")
    assert made_anew(cache, ("a",))
    assert not made_anew(cache, ("a",))


def test_the_entry_used_longest_ago_goes_first(tmp_path):
    cache = EncodingCache(tmp_path, cap=9000)
    for age, name in enumerate("ab"):
        cache.get((name,), lambda: torch.zeros(1000))
        for path in tmp_path.iterdir():
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9 * (3 - age),) * 2)
    assert not made_anew(cache, ("a",))
    cache.get(("c",), lambda: torch.zeros(1000))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 9000
    assert [made_anew(cache, (name,)) for name in "acb"] == [False, False, True]
    small = EncodingCache(tmp_path / "small", cap=100)
    assert small.get(("a",), lambda: torch.ones(1000)).sum() == 1000
    assert not (tmp_path / "small").exists(), "what is over the cap is given and not kept"


class SmallVae:
    """Stands in for the vendor's: counts what it encodes."""

    def __init__(self):
        self.calls = 0

    def encode(self, videos, device="cpu", tiled=False, **_):
        self.calls += 1
        return videos[:, :, ::4, ::8, ::8].to(device) + tiled


class TestRemembering:
    CLIP = torch.rand(1, 3, 9, 16, 16, generator=torch.Generator().manual_seed(0))

    def vae(self, folder, name="a", content=b"weights"):
        (folder / name).write_bytes(content)
        vae = SmallVae()
        remember_encodings(vae, EncodingCache(folder / "cache"), folder / name)
        return vae

    def test_a_clip_is_encoded_once_on_any_day(self, tmp_path):
        first, later = self.vae(tmp_path), self.vae(tmp_path, "moved")
        expected = first.encode(self.CLIP, device="cpu", tiled=False)
        assert torch.equal(later.encode(self.CLIP.clone(), device="cpu", tiled=False), expected)
        assert (first.calls, later.calls) == (1, 0)

    @pytest.mark.parametrize(
        ("content", "change", "how"),
        [
            (b"others", lambda clip: clip, {}),
            (b"weights", lambda clip: clip.bfloat16(), {}),
            (b"weights", lambda clip: clip + 1e-6, {}),
            (b"weights", lambda clip: clip.reshape(1, 3, 9, 8, 32), {}),
            (b"weights", lambda clip: clip, {"tiled": True}),
            (b"weights", lambda clip: clip, {"tile_size": (30, 52)}),
        ],
        ids=["weights", "type", "pixels", "shape", "tiled", "tiles"],
    )
    def test_what_decides_the_latents_is_in_the_key(self, tmp_path, content, change, how):
        self.vae(tmp_path).encode(self.CLIP)
        other = self.vae(tmp_path, content=content)
        other.encode(change(self.CLIP), **how)
        assert other.calls == 1

    def test_a_folder_that_cannot_be_written_stops_nothing_and_is_said(self, tmp_path):
        (tmp_path / "cache").write_text("a file")
        vae = self.vae(tmp_path)
        with pytest.warns(UserWarning, match="not kept: Cannot write .*cache"):
            assert torch.equal(vae.encode(self.CLIP), vae.encode(self.CLIP))
        assert vae.calls == 2


def test_a_prompt_is_encoded_once_and_the_encoder_let_go(tmp_path, monkeypatch):
    loads, encoded = [], []

    def load(name, place, **given):
        loads.append(given["roles"])
        return SimpleNamespace(pipe=object())

    def encode(pipe, prompt):
        encoded.append(prompt)
        return torch.full((1, 4, 8), float(len(prompt)))

    monkeypatch.setattr(encodings, "load_pipeline", load)
    monkeypatch.setattr(encodings, "encode_prompt", encode)
    cache = EncodingCache(tmp_path)
    first = encodings.encode_prompts("1.3B", ["a cat", "", "a cat"], cache=cache)
    again = encodings.encode_prompts("14B", ["", "a cat"], cache=cache)
    assert loads == [("text",)]
    assert encoded == ["a cat", ""]
    assert [context[0, 0, 0].item() for context in [*first, *again]] == [5, 0, 5, 0, 5]
