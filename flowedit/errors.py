"""The errors a caller can meet: each message names the value, the rule and the cure, on one line."""


class FlowEditError(Exception):
    """Base of every error that flowedit raises on purpose; the command line prints it and exits with status 2."""

    exit_status = 2


class SettingError(FlowEditError):
    """A setting that makes no sense on its own or beside another one."""


class VideoShapeError(FlowEditError):
    """A number of frames, or a frame size, that the model cannot take."""


class VideoFileError(FlowEditError):
    """A video or image file that cannot be read or written."""


class KeyframeError(FlowEditError):
    """A keyframe index or image that does not fit the clip."""


class OutputError(FlowEditError):
    """An output folder that cannot be written, or that already holds a run."""


class ModelError(FlowEditError):
    """A checkpoint that is missing, broken, or cannot do what was asked of it."""


class NumericalError(FlowEditError):
    """A step that produced values that are not finite."""


class AgentError(FlowEditError):
    """A styling run that cannot go on."""


class WidgetError(FlowEditError):
    """Data that a widget cannot show."""


class UnusualSettingWarning(UserWarning):
    """A setting that is allowed but outside the range that usually works."""


class UnknownWordsWarning(UnusualSettingWarning):
    """Words that a model does not know and leaves out; `prompts` are the texts that hold them."""

    def __init__(self, message: str, prompts: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.prompts = prompts
