"""One run from files to files: read the inputs, estimate, edit, write. The command line calls it.

Nothing here loads torch: a run with a model does once the estimate is made, for the memory of both.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowedit.run.classical import begin, edit_without_model, reference_of
from flowedit.run.inputs import Inputs, read_inputs
from flowedit.run.outputs import Announce, EditOutcome, Watch, each_claimed
from flowedit.run.request import EditRequest
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.methods.branches import Step
    from flowedit.run.editing import Loaded


def silent(stage: str, done: int, total: int, step: "Step | None") -> None:
    """A watcher that shows nothing."""


def run_edit(
    request: EditRequest,
    watch: Watch = silent,
    announce: Announce = str,
    inputs: Inputs | None = None,
    loaded: "Loaded | None" = None,
) -> EditOutcome:
    """Edit a video file and write the results.

    Args:
        request: what to do.
        watch: called as the work goes on.
        announce: called with the lines that say which frames, sizes and LoRAs were chosen, and of a second try.
        inputs: the request's files, where they are read already.
        loaded: the request's model, where many edits share one; memory that runs out is the caller's then.

    Raises:
        FlowEditError: any input that does not fit; nothing is left half-written.
        KeyboardInterrupt: passed on, after the trace so far was written. An earlier run in the folder stays whole until
            this one is.
    """
    (outcome,) = run_edits(request, [("", request.settings)], watch, announce, inputs, loaded)
    return outcome


def run_edits(
    request: EditRequest,
    runs: Sequence[tuple[str, EditSettings]],
    watch: Watch = silent,
    announce: Announce = str,
    inputs: Inputs | None = None,
    loaded: "Loaded | None" = None,
) -> list[EditOutcome]:
    """`run_edit` once per settings, which differ in gain and seed: files, words and model are read and loaded once.

    `runs` names the folder of each inside the request's, and its settings in place of the request's. The runs before
    one that fails are kept.
    """
    inputs = inputs or read_inputs(request)
    for line in inputs.summary():
        announce(line)
    with each_claimed(request, runs) as requests:
        if request.settings.classical:
            return edit_without_model(requests, inputs, watch)
        reference = None  # of a method that refines none and works at the clip's own size
        if request.settings.method == "refine" or inputs.frames.shape != inputs.clip.frames.shape:
            begin("estimating", watch)
            reference = reference_of(inputs)
        from flowedit.run.editing import edit_with_model

        return edit_with_model(requests, inputs, reference, watch, announce, loaded)
