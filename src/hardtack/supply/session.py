"""Requests to one Hub over huggingface_hub's own HTTP session: who gets the token, what is tried again.

The session is huggingface_hub's, so that what a user set for it (proxies, certificates, ``set_client_factory``) holds
here, too. ``HfApi`` is not used: building its headers asks the Hub for ``/api/agent-harnesses`` and reports what it
finds in ``user-agent`` (huggingface_hub 2.4, ``utils/_detect_agent.py``), and hardtack has no telemetry.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import huggingface_hub
from huggingface_hub import get_session, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from hardtack import __version__
from hardtack.errors import HubUnreachable, Misused
from hardtack.settings import DEFAULT_ENDPOINT
from hardtack.supply.patience import PASSING, Patience, Transient

# The base of everything that the session raises: httpx.HTTPError in huggingface_hub 1.x, httpx2.HTTPError in 2.x.
HTTP_ERROR = cast(
    "type[Exception]",
    next(base for base in HfHubHTTPError.__mro__ if base.__module__.split(".")[0].startswith("httpx")),
)
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h
_OUT_OF_TIME = frozenset({9, 10})


class Answer(Protocol):
    """What is used of the session's responses."""

    status_code: int

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case."""

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it comes."""

    def read(self) -> bytes:
        """The whole body."""

    def json(self) -> Any:
        """The whole body, parsed."""


class Session:
    """Requests to one Hub.

    Args:
        endpoint: the Hub, ``https://…``, or ``http://`` for a mirror.
        token: for it, or None.
        timeout: seconds of silence.
        token_for_other_hubs: whether a Hub other than the default one may have the token.
        patience: how often to try again.

    Raises:
        Misused: the endpoint is no address.
    """

    def __init__(
        self, endpoint: str, token: str | None, timeout: float, *, token_for_other_hubs: bool, patience: Patience
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.timeout = timeout
        self.patience = patience
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misused(
                "the Hub's address is none", where="the environment variable HF_ENDPOINT",
                expected="https://host, or http://127.0.0.1:port", found=endpoint, mend="unset HF_ENDPOINT",
            )  # fmt: skip
        self.withheld = ""  # why the token is not sent, for error messages
        if token and not (parts.scheme == "https" or _is_loopback(parts.hostname)):
            self.withheld = "the token was not sent, since the address is neither https nor this machine's own"
        elif token and self.endpoint != DEFAULT_ENDPOINT and not token_for_other_hubs:
            self.withheld = "the token was not sent, since this is not the default Hub"
        self.has_token = bool(token) and not self.withheld
        self._headers = {"user-agent": f"hardtack/{__version__}; hf_hub/{huggingface_hub.__version__}"}
        if self.has_token:
            self._headers["authorization"] = f"Bearer {token}"

    @property
    def is_default(self) -> bool:
        """Whether it is the Hub that everybody means."""
        return self.endpoint == DEFAULT_ENDPOINT

    def get_json(self, url: str) -> Any:
        """The JSON at an address; tried again as patience has it.

        Raises:
            HfHubHTTPError: the Hub said no.
            HubUnreachable: it did not answer, or not in JSON.
        """

        def attempt() -> Any:
            with self.stream(url) as answer:
                try:
                    answer.read()
                except HTTP_ERROR as problem:
                    raise Transient(_reason(problem), cause=problem) from problem
                try:
                    return answer.json()
                except ValueError as problem:
                    raise HubUnreachable(
                        "the Hub's answer is not JSON", where=url, expected="the Hub's protocol",
                        found=str(answer.headers.get("content-type")), mend="hardtack doctor",
                    ) from problem  # fmt: skip

        try:
            return self.patience.persist(attempt)
        except Transient as problem:
            raise HubUnreachable(
                "the Hub did not answer", where=url, expected=f"an answer within {self.timeout:g} s",
                found=str(problem), mend="hardtack doctor",
            ) from problem.cause  # fmt: skip

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str] | None = None, *, fine: int = 0) -> Iterator[Answer]:
        """One request, its body still to be read. Redirects are followed; the token goes to no other host.

        Args:
            url: where.
            headers: besides the session's own.
            fine: a status of 400 or more that the caller deals with.

        Raises:
            Transient: worth another attempt.
            HfHubHTTPError: the Hub said no.
            HubUnreachable: huggingface_hub is told to stay offline, or the certificate is not trusted.
        """
        # identity: a body that a proxy packs on the fly can neither be resumed nor counted
        asked = {**self._headers, "accept-encoding": "identity", **(headers or {})}
        opened = cast(
            "AbstractContextManager[Answer]",
            _session().stream("GET", url, headers=asked, timeout=self.timeout, follow_redirects=True),
        )
        try:
            answer = opened.__enter__()
        except OfflineModeIsEnabled as problem:
            raise HubUnreachable(
                "an offline variable is set", where=url, expected="leave to use the network",
                found="HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE",
                mend="env -u HF_HUB_OFFLINE -u TRANSFORMERS_OFFLINE hardtack pull",
            ) from problem  # fmt: skip
        except HTTP_ERROR as problem:
            if (untrusted := _untrusted(problem)) is not None:
                raise _not_trusted(url, untrusted) from problem
            raise Transient(_reason(problem), cause=problem) from problem
        try:
            if answer.status_code in PASSING:
                after = self.patience.asked_for(answer.headers)
                raise Transient(f"status {answer.status_code}", after=after)
            if answer.status_code >= 400 and answer.status_code != fine:
                try:
                    answer.read()
                    hf_raise_for_status(cast("Any", answer))
                except HfHubHTTPError:
                    raise
                except HTTP_ERROR as problem:
                    raise Transient(_reason(problem), cause=problem) from problem
            yield answer
        finally:
            opened.__exit__(None, None, None)


def _session() -> Any:
    try:
        return get_session()
    except OSError as problem:  # the session is made at its first use, and reads the certificates then
        raise Misused(
            "the certificates to trust cannot be read", where="the environment variable SSL_CERT_FILE or SSL_CERT_DIR",
            expected="a file of certificates in PEM", found=str(problem), mend="hardtack doctor",
        ) from problem  # fmt: skip


def _untrusted(problem: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The certificate's fault beneath an error of the session's; another attempt meets the same certificate."""
    while problem is not None and not isinstance(problem, ssl.SSLCertVerificationError):
        problem = problem.__cause__ or problem.__context__
    return problem


def _not_trusted(url: str, problem: ssl.SSLCertVerificationError) -> HubUnreachable:
    out_of_time = problem.verify_code in _OUT_OF_TIME
    return HubUnreachable(
        "the Hub's certificate is not trusted here", where=url,
        expected="a certificate that holds today" if out_of_time else "a certificate of an authority that is trusted",
        found=problem.verify_message,
        mend="date --utc  # is this machine's clock right?" if out_of_time
        else "export SSL_CERT_FILE=CA.pem  # with the authority that signs in this network",
    )  # fmt: skip


def _reason(problem: Exception) -> str:
    text = str(problem)
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
