"""What a request is told that cannot be answered: one line and a status."""


class Refused(Exception):
    """status: of HTTP; the message says what was found, what was expected and what to do."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
