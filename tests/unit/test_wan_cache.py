"""The cache gives back what was put in, by content, and stays under its cap."""

import os

import pytest
import torch

from flowedit.wan.cache import EncodingCache


def never():
    raise AssertionError("made again")


def test_made_once_and_read_back_in_every_bit(tmp_path):
    value = torch.randn(3, 5).to(torch.bfloat16)
    first = EncodingCache(tmp_path).get(("text", "a cat"), lambda: {"context": value})
    again = EncodingCache(tmp_path).get(("text", "a cat"), never)
    assert torch.equal(first["context"], value)
    assert torch.equal(again["context"], value)
    assert again["context"].dtype == torch.bfloat16


@pytest.mark.parametrize("other", [("text", "a dog"), ("latent", "a cat"), ("text", "a cat", "v2"), ("texta", " cat")])
def test_another_key_is_another_entry(tmp_path, other):
    cache = EncodingCache(tmp_path)
    cache.get(("text", "a cat"), lambda: {"x": torch.zeros(1)})
    assert cache.get(other, lambda: {"x": torch.ones(1)})["x"] == 1


def test_pixels_are_a_key(tmp_path):
    cache, frames = EncodingCache(tmp_path), torch.zeros(2, 3)
    cache.get(("latent", frames), lambda: {"x": torch.zeros(1)})
    assert cache.read(("latent", torch.zeros(2, 3))) is not None
    assert cache.read(("latent", torch.full((2, 3), 1e-3))) is None


def test_a_broken_entry_is_made_anew(tmp_path):
    cache = EncodingCache(tmp_path)
    cache.get(("a",), lambda: {"x": torch.zeros(1)})
    next(tmp_path.iterdir()).write_bytes(b"broken")
    assert cache.get(("a",), lambda: {"x": torch.ones(1)})["x"] == 1


def test_the_entry_used_longest_ago_goes_first(tmp_path):
    entry = {"x": torch.zeros(1000)}
    cache = EncodingCache(tmp_path, cap=9000)
    for age, name in enumerate("ab"):
        cache.get((name,), lambda: entry)
        for path in tmp_path.iterdir():
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9 * (3 - age),) * 2)
    assert cache.read(("a",))
    cache.get(("c",), lambda: entry)
    assert cache.read(("b",)) is None
    assert cache.read(("a",))
    assert cache.read(("c",))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 9000


def test_what_is_over_the_cap_is_given_but_not_kept(tmp_path):
    cache = EncodingCache(tmp_path, cap=100)
    assert cache.get(("a",), lambda: {"x": torch.ones(1000)})["x"].sum() == 1000
    assert not list(tmp_path.iterdir())


def test_clear_frees_everything(tmp_path):
    cache = EncodingCache(tmp_path)
    cache.get(("a",), lambda: {"x": torch.ones(10)})
    assert cache.clear() > 40
    assert not list(tmp_path.iterdir())
