"""A request to a server of the team."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import requests

from pipeline.process.errors import UserError
from pipeline.tracking.credentials import masked

SECONDS_TO_ANSWER = 10


def answer(subject: str, url: str, auth: tuple[str, str] | None = None) -> requests.Response:
    """What a GET request gives. Raises UserError if there is no answer."""
    try:
        return requests.get(url, timeout=SECONDS_TO_ANSWER, auth=auth)
    except requests.RequestException as error:
        # What went wrong is at the end of a chain of errors, in brackets and quotes.
        reason = masked(str(error).rpartition(": ")[2].strip("'\")> "), url)[:150]
        raise UserError(
            f"{masked(url)} does not answer ({reason}); start the server, or correct {subject}"
        ) from None


def seconds_ahead(response: requests.Response) -> float:
    """How far the server's clock is ahead, to the second; 0 if it does not say."""
    date = response.headers.get("Date")
    if date is None:
        return 0.0
    # The header has whole seconds, and the answer was written before it arrived.
    middle = time.time() - response.elapsed.total_seconds() / 2 - 0.5
    return parsedate_to_datetime(date).timestamp() - middle
