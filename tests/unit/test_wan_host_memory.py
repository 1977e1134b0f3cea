"""The 1.3B checkpoint, text encoder included, well within twelve gigabytes of host memory, under an enforced limit.

The files have the official names, shapes and sizes over a body of zeros: memory does not depend on the values. Prompts
are cut to a few tokens, because 512 of them take a processor minutes and no more memory than tens of megabytes.
"""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from official import lay_out

from flowedit.wan import files
from flowedit.wan.checkpoints import TOKENIZER, resolve

LIMIT = 8_000_000_000
"""Four gigabytes less than a host that has twelve: the system, a notebook and a clip need room too."""
SCRIPT = """
import os, re, sys, threading, time
from pathlib import Path

held = 0

def watch():
    # What cannot be given back: a file that is mapped is read again where memory is short.
    global held
    while True:
        status = Path("/proc/self/status").read_text()
        held = max(held, 1024 * sum(int(kb) for kb in re.findall(r"(?:RssAnon|RssShmem|VmSwap):\\s+(\\d+)", status)))
        if held > int(sys.argv[1]):
            os.write(2, b"the memory limit was passed")
            os._exit(137)
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
import torch
import torch.nn.functional as F
from small_wan import in_float32
F.conv2d, F.conv3d = in_float32(F.conv2d), in_float32(F.conv3d)
from flowedit import models
from flowedit.model import ClipShape, Condition
from flowedit.wan.placement import Placement, Needs
from flowedit.wan.vendor import HuggingfaceTokenizer

torch.set_num_threads(1)
# The CPU plays a GPU that is full: the vendor keeps no layer on it beyond its turn.
torch.cpu.empty_cache = lambda: None
torch.cpu.mem_get_info = lambda device=None: (0, 80 * 2**30)
made = HuggingfaceTokenizer.__init__
HuggingfaceTokenizer.__init__ = lambda self, name, seq_len=None, clean=None, **more: made(self, name, 8, clean, **more)

placement = Placement(level="offload", device="cpu", dtype_name="bfloat16", text_on_disk=sys.argv[2] == "disk",
          tiled=True, vram_limit=0.0, needs=Needs(gpu=0, host=0))
shape = ClipShape(num_frames=5, height=32, width=32)
with torch.inference_mode():
    model = models.load_model("1.3B", level=placement, prompts=("a cat",))
    video = torch.zeros(1, 3, 5, 32, 32)
    latents = model.encode(video)
    prepared = model.prepare(Condition(shape=shape, prompt="a cat"))
    model.decode(model.velocity(latents, 0.5, prepared, (0, 1)))
print(f"peak {held / 1e9:.2f} GB, weights {sum(p.numel() for p in model.pipe.dit.parameters()) / 1e9:.2f} bn")
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    lay_out(resolve("1.3B"), root)
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "cat": 4}
    folder = root / TOKENIZER[0] / TOKENIZER[1]
    folder.mkdir(parents=True)
    model = {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}
    (folder / "tokenizer.json").write_text(
        json.dumps({"version": "1.0", "model": model, "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": []})
    )
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **named}))
    return root


def run(models, tmp_path, place):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(LIMIT), place]
    given = {files.BASE_PATH_VARIABLE: str(models), "XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    given["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=given)


@pytest.mark.timeout(1000)
def test_it_fits_with_the_text_encoder_streamed_from_disk(models, tmp_path):
    done = run(models, tmp_path, "disk")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "weights 1.56 bn" in done.stdout


@pytest.mark.timeout(1000)
def test_the_limit_is_one_that_the_encoder_in_memory_does_not_keep(models, tmp_path):
    done = run(models, tmp_path, "host")
    assert done.returncode == 137
    assert "memory limit was passed" in done.stderr
