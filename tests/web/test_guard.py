"""Lengths at the limits; refusals as a browser sees them are in test_server.py."""

from email.message import Message
from http import HTTPStatus

import pytest

from minisam.web.guard import Refused, length_of_body


def of_length(text: str) -> Message:
    headers = Message()
    headers["Content-Length"] = text
    return headers


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("1", 1), ("2097152", 2 * 2**20)])
def test_a_body_up_to_the_limit_is_read(text, length):
    assert length_of_body(of_length(text), 2 * 2**20) == length


def test_a_longer_one_is_refused_with_the_limit_in_megabytes():
    with pytest.raises(Refused, match=r"^more than 2 MB$") as refused:
        length_of_body(of_length("2097153"), 2 * 2**20)
    assert refused.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize("text", ["", "-1", "1.0", "\u0661", "0x10"])
def test_a_length_is_decimal_digits(text):
    with pytest.raises(Refused, match="length of the content is missing") as refused:
        length_of_body(of_length(text), 100)
    assert refused.value.status == HTTPStatus.LENGTH_REQUIRED
