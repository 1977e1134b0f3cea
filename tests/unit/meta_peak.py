"""Count the bytes that a forward keeps alive at its worst moment, on the meta device: nothing is computed.

Attention is replaced by its output's shape, which is what a fused kernel leaves in memory.
"""

import unittest.mock
import weakref

import torch
from diffsynth.models.wan_video_dit import WanModel
from diffsynth.models.wan_video_vace import VaceWanModel
from diffsynth.models.wan_video_vae import VideoVAE38_, VideoVAE_
from diffsynth.pipelines.wan_video import model_fn_wan_video
from small_wan import FAMILIES
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """Adds up the storages alive, beside the ones given."""

    def __init__(self, given):
        super().__init__()
        self.live = self.peak = 0
        self.known = {tensor.untyped_storage()._cdata for tensor in given}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta":
                self._meet(tensor.untyped_storage())
        return output

    def _meet(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._part, key, size)

    def _part(self, key, size):
        self.known.discard(key)
        self.live -= size


def _meta(*shape, dtype):
    return torch.empty(*shape, dtype=dtype, device="meta")


def forward_peak(family, width, latent_shape, dtype):
    """Bytes alive beside weights and inputs in one forward of a transformer of this family and width."""
    channels, slots, rows, columns = latent_shape
    vace = width.vace_layers
    sizes = {"dim": width.dim, "ffn_dim": width.ffn, "num_heads": width.heads, "num_layers": max(2, vace)}
    fixed = {"out_dim": 16, "text_dim": 4096, "freq_dim": 256, "eps": 1e-6, "patch_size": (1, 2, 2)}
    with torch.device("meta"):
        dit = WanModel(**{**sizes, **fixed, **FAMILIES[family]}).to(dtype).eval().requires_grad_(False)
        branch = None
        if vace:
            branch = VaceWanModel(
                vace_layers=tuple(range(vace)), dim=width.dim, num_heads=width.heads, ffn_dim=width.ffn
            ).to(dtype)
            branch = branch.eval().requires_grad_(False)
    dit.freqs = tuple(table.to("meta") for table in dit.freqs)
    grid = (slots, rows, columns)
    tensors = {"latents": _meta(1, channels, *grid, dtype=dtype), "timestep": _meta(1, dtype=dtype)}
    tensors["context"] = _meta(1, 512, 4096, dtype=dtype)
    if FAMILIES[family]["in_dim"] == 36:
        tensors["y"] = _meta(1, 20, *grid, dtype=dtype)
        tensors["clip_feature"] = _meta(1, 257, 1280, dtype=dtype)
    if vace:
        tensors["vace_context"] = _meta(1, 96, *grid, dtype=dtype)
    weights = [*dit.parameters(), *(branch.parameters() if branch else ())]
    fused = unittest.mock.patch("torch.nn.functional.scaled_dot_product_attention", lambda q, k, v: torch.empty_like(q))
    with fused, torch.no_grad(), Peak([*weights, *tensors.values()]) as peak:
        model_fn_wan_video(dit=dit, vace=branch, fuse_vae_embedding_in_latents=family == "ti2v", **tensors)
    return peak.peak


def vae_peak(channels, num_frames, height, width, dtype=torch.bfloat16):
    """Bytes alive beside weights and input in decoding, and in encoding."""
    kind, stride = (VideoVAE_, 8) if channels == 16 else (VideoVAE38_, 16)
    with torch.device("meta"):
        vae = kind(z_dim=channels).to(dtype).eval().requires_grad_(False)
    scale = [_meta(channels, dtype=dtype), _meta(channels, dtype=dtype)]
    latent = _meta(1, channels, (num_frames + 3) // 4, height // stride, width // stride, dtype=dtype)
    fused = unittest.mock.patch("torch.nn.functional.scaled_dot_product_attention", lambda q, k, v: torch.empty_like(q))
    peaks = []
    for function, given in ((vae.decode, latent), (vae.encode, _meta(1, 3, num_frames, height, width, dtype=dtype))):
        with fused, torch.no_grad(), Peak([*vae.parameters(), given, *scale]) as peak:
            function(given, scale)
        peaks.append(peak.peak)
    return peaks
