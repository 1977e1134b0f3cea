"""The small Wan's architecture with random weights, for tests of what needs a model but not a good one."""

import torch

from flowedit.tiny.config import SMOKE
from flowedit.tiny.load import assemble
from flowedit.tiny.model import build_dit, build_text_encoder, build_vae


def random_pipeline(seed=0, dtype=torch.float32):
    """Make a `WanVideoPipeline`; each layer is drawn, those that begin at zero too: each input moves each output.

    The caller's random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dit, vae, text = build_dit(SMOKE), build_vae(SMOKE), build_text_encoder(SMOKE)
        for module in (dit, vae.model, text):
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    parameter.data.normal_(0.0, parameter[0].numel() ** -0.5)
    return assemble(dit, vae, text, device="cpu", dtype=dtype)
