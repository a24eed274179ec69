"""What a `packshot` command tells in one line when it cannot go on."""


class LocalCloudError(Exception):
    """Why the local cloud cannot start or stay up. Its text is one line for the person who started it."""


class DemoError(Exception):
    """Why a demo cannot begin or go on. Its text is one line for the person who started it."""


class StackError(Exception):
    """Why a deployed stack cannot be worked on. Its text is one line for the person who tried."""


class PhotosError(Exception):
    """Why photos cannot be looked at, or sent. Its text is one line for the person who asked."""
