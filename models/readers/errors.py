"""The one error of the readers."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message says what was expected, what came, what to do."""
