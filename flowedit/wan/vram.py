"""Switch diffsynth's memory management on for a pipeline that is already loaded."""

from typing import TYPE_CHECKING

from flowedit.errors import ModelError
from flowedit.wan.fit import GIB

if TYPE_CHECKING:
    from flowedit.wan import vendor

_KEPT_FREE = 2 * GIB
"""Left for activations where no limit is given; what the vendor's own examples leave."""


def enable_vram_management(pipe: "vendor.WanVideoPipeline", vram_limit: float | None = None) -> bool:
    """Let every part rest on the host and come to the GPU when it is used, layer by layer, up to a limit.

    Args:
        pipe: a loaded pipeline; parts that are managed already are left as they are.
        vram_limit: GiB of GPU memory up to which layers stay there; None means all but two.

    Returns:
        Whether anything is managed now: False on a CPU, where there is nothing to manage.

    Raises:
        ModelError: a limit that leaves no memory.
    """
    import torch

    if vram_limit is not None and vram_limit <= 0:
        raise ModelError(f"vram_limit is {vram_limit} GiB; it must be positive. Leave it out to use all but 2 GiB.")
    if torch.device(pipe.device).type != "cuda":
        return False
    limit = vram_limit if vram_limit is not None else (torch.cuda.mem_get_info()[1] - _KEPT_FREE) / GIB
    manage(pipe, limit)
    torch.cuda.empty_cache()
    return True


def manage(pipe: "vendor.WanVideoPipeline", vram_limit: float | None) -> None:
    """Wrap the layers of every part in the vendor's managed ones, by the vendor's own table."""
    from flowedit.wan import vendor

    pool = vendor.ModelPool()
    places = {"offload": "cpu", "onload": "cpu", "preparing": pipe.device, "computation": pipe.device}
    stages = {f"{stage}_device": device for stage, device in places.items()}
    stages |= {f"{stage}_dtype": pipe.torch_dtype for stage in places}
    for name, part in list(pipe.named_children()):
        kind = f"{type(part).__module__}.{type(part).__name__}"
        if kind in vendor.VRAM_MANAGEMENT_MODULE_MAPS and not getattr(part, "vram_management_enabled", False):
            layers = pool.fetch_module_map(kind, stages)
            managed = vendor.enable_vram_management(part.to("cpu"), layers, vram_config=stages, vram_limit=vram_limit)
            setattr(pipe, name, managed)
    pipe.vram_management_enabled = pipe.check_vram_management_state()
