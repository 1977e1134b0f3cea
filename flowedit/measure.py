"""What can be measured about an edit without knowing its answer."""

import numpy as np

from flowedit.metrics import colour_drift, edge_agreement, keyframe_flicker, psnr
from flowedit.result import EditResult


def measure(result: EditResult) -> dict[str, float]:
    """Figures of an edit against its own source and keyframes.

    Returns:
        `psnr_at_keyframes`: dB between the edited frames and the styled keyframes, mean, each capped at 40.
        `edges_kept`: agreement of the edit's edges with the source's, in [0, 1].
        `flicker_at_keyframes`: jump between frames around keyframes relative to the source's own; 1 = none added.
        `colour_drift`: how far the mean colour wanders against the source's, in 8-bit levels.
        `final_gap`: largest relative gap left at a keyframe; only where there were steps.
    """
    figures = {
        "edges_kept": float(edge_agreement(result.frames, result.source)),
        "colour_drift": float(colour_drift(result.frames, result.source)),
    }
    if result.keyframes:
        indices = [keyframe.index for keyframe in result.keyframes]
        styled = np.stack([keyframe.image for keyframe in result.keyframes])
        figures["psnr_at_keyframes"] = float(np.mean(psnr(result.frames[indices], styled)))
        figures["flicker_at_keyframes"] = float(keyframe_flicker(result.frames, result.source, indices))
    if result.trace.steps and result.keyframes:
        figures["final_gap"] = result.trace.final_gap()
    return figures
