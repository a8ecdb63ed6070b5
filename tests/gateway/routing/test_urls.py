"""No file of routes and no DNS record sends the gateway to machines behind it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.gateway.routing.urls import address_fault, url_fault

NEVER = (
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://metadata.google.internal/v1",
    "http://metadata.google.internal./v1",
    "http://[fe80::1]/v1",
    "http://0.0.0.0:8000/v1",
    "http://224.0.0.1/v1",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://127.1/",
    "https://user:key@api.example.com/v1",
    "https://api.example.com@10.0.0.1/v1",
    "https://api.example.com\\@10.0.0.1/v1",
    "https://api.example.com/v1?key=1",
    "https://api.example.com/v1#x",
    "https://api.example.com/v1/../admin",
    "https://api.example.com/%2e%2e/admin",
    "https://api.example.com:99999/v1",
    "https://api.example.com:0/v1",
    "https://api.exämple.com/v1",
    "https://api.example.com\u3002evil.example/v1",
    "https://api..example.com/v1",
    "https://-api.example.com/v1",
    "https://api.example.com/v1\r\nX-Evil: 1",
    "https:// api.example.com/v1",
    "https:///v1",
    "//api.example.com/v1",
    "file:///etc/passwd",
    "gopher://api.example.com/",
    "api.example.com/v1",
    "",
)
INSIDE = (
    "http://127.0.0.1:8000/v1",
    "http://[::1]:8000/v1",
    "http://10.1.2.3/v1",
    "http://192.168.1.1/v1",
    "http://[fd12::1]/v1",
    "http://[::ffff:10.0.0.1]/v1",
    "http://100.64.0.1/v1",
    "http://localhost:8000/v1",
    "http://vllm:8000/v1",
    "http://llm.corp/v1",
    "http://api.example.com/v1",  # not inside, but in the clear
    "https://10.1.2.3/v1",
    "https://vllm.internal/v1",
)
OUTSIDE = (
    "https://api.example.com/v1",
    "https://api.example.com:8443",
    "https://8.8.8.8/v1",
    "https://[2606:4700::1]/v1",
)


@pytest.mark.parametrize("url", NEVER)
def test_what_is_never_an_upstream(url: str) -> None:
    assert url_fault(url, private=False)
    assert url_fault(url, private=True)


@pytest.mark.parametrize("url", INSIDE)
def test_what_is_one_only_if_the_file_says_that_it_is_private(url: str) -> None:
    assert "private: true" in (url_fault(url, private=False) or "")
    assert url_fault(url, private=True) is None


@pytest.mark.parametrize("url", OUTSIDE)
def test_what_is_one_anywhere(url: str) -> None:
    assert url_fault(url, private=False) is None


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "::ffff:{}", "64:ff9b::{}", "sixtofour"]))
def test_no_notation_of_an_address_gets_further_than_the_address(address: ipaddress.IPv4Address, form: str) -> None:
    written = (
        form.format(address)
        if form != "sixtofour"
        else str(ipaddress.IPv6Address((0x2002 << 112) | int(address) << 80))
    )
    for private in (False, True):
        assert (address_fault(written, private=private) is None) == (address_fault(address, private=private) is None)


@given(st.ip_addresses())
def test_without_private_only_global_addresses_are_reached(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address_fault(address, private=False) is None:
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
        assert inner.is_global
        assert not inner.is_multicast
    host = f"[{address}]" if address.version == 6 else str(address)
    assert (url_fault(f"https://{host}/v1", private=False) is None) == (address_fault(address, private=False) is None)


@given(st.text(max_size=80))
def test_any_text_has_an_answer(text: str) -> None:
    url_fault(text, private=True)
    url_fault(f"https://{text}/v1", private=False)
