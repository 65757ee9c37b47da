"""A company's network: proxies, certificates of its own, storms of refusals; and a clock of another year."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from huggingface_hub import close_session

from hardtack.errors import HubUnreachable
from hardtack.mirror.messages import Request, Response
from hardtack.places import Store
from hardtack.spec.lock import Lock
from hardtack.spec.lock_render import render_lock
from hardtack.supply.hub import Hub
from hardtack.supply.patience import Patience
from hardtack.supply.pull import pull
from hardtack.supply.report import State
from hardtack.supply.resolve import resolve
from tests.hub import FixtureHub
from tests.supply.conftest import CHOSEN, WANTED, Clock
from tests.supply.network import Proxy, Tls, authority

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


Set = Callable[..., None]


@pytest.fixture
def environment(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Set]:
    """Sets variables of the transport, which huggingface_hub's session reads when it is made: so a new one is.

    The lock comes first: it is made with a session of its own.
    """
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def put(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        close_session()

    put()
    yield put
    close_session()


@pytest.fixture
def secure(fixture_hub: FixtureHub, tmp_path: Path) -> Iterator[tuple[Tls, Path]]:
    """The Hub behind https, and the file of the authority that signed its certificate."""
    signer, path = authority(tmp_path)
    with Tls(urlsplit(fixture_hub.url).port or 0, signer) as tls:
        yield tls, path


def test_a_proxy_of_the_environment_is_used(
    lock: Lock, store: Store, fixture_hub: FixtureHub, environment: Set
) -> None:
    with Proxy() as proxy:
        environment(HTTP_PROXY=proxy.url)
        assert pull(lock, store, Hub(fixture_hub.url)).count(State.FETCHED) == len(CHOSEN)
        assert len(proxy.seen) == fixture_hub.count() == 1 + len(CHOSEN)
        assert all(line.startswith(f"GET {fixture_hub.url}/") for line in proxy.seen)


def test_a_hub_that_no_proxy_names_is_asked_directly(lock: Lock, store: Store, hub: Hub, environment: Set) -> None:
    environment(HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1")
    assert pull(lock, store, hub).count(State.FETCHED) == len(CHOSEN)


def test_a_private_authority_behind_a_proxy(
    lock: Lock, store: Store, secure: tuple[Tls, Path], environment: Set
) -> None:
    tls, certificate = secure
    with Proxy() as proxy:
        environment(HTTPS_PROXY=proxy.url, SSL_CERT_FILE=certificate)
        assert pull(lock, store, Hub(tls.url)).count(State.FETCHED) == len(CHOSEN)
        assert set(proxy.seen) == {f"CONNECT 127.0.0.1:{tls.port} HTTP/1.1"}


def test_an_authority_that_nobody_trusts_is_said_at_once(
    lock: Lock, store: Store, secure: tuple[Tls, Path], fixture_hub: FixtureHub, clock: Clock, environment: Set
) -> None:
    with pytest.raises(HubUnreachable, match="not trusted") as caught:
        pull(lock, store, Hub(secure[0].url, patience=clock.patience()))
    assert caught.value.mend.startswith("export SSL_CERT_FILE=")
    assert "certificate" in caught.value.found or "self" in caught.value.found
    assert (clock.slept, fixture_hub.count()) == ([], 0)


def test_a_certificate_that_has_run_out_points_at_the_clock(
    lock: Lock,
    store: Store,
    fixture_hub: FixtureHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    environment: Set,
) -> None:
    signer, path = authority(tmp_path)
    issue = signer.issue_cert
    ended = datetime.now(UTC) - timedelta(days=1)

    def run_out(name: str) -> trustme.LeafCert:
        return issue(name, not_before=ended - timedelta(days=365), not_after=ended)

    monkeypatch.setattr(signer, "issue_cert", run_out)
    environment(SSL_CERT_FILE=path)
    with Tls(urlsplit(fixture_hub.url).port or 0, signer) as tls, pytest.raises(HubUnreachable) as caught:
        pull(lock, store, Hub(tls.url, patience=clock.patience()))
    assert "expired" in caught.value.found
    assert caught.value.mend.startswith("date --utc")


def test_a_storm_of_refusals_is_ridden_out_as_the_hub_asks(
    lock: Lock, store: Store, fixture_hub: FixtureHub, clock: Clock
) -> None:
    fixture_hub.busy("*", times=6, retry_after=7)
    pulled = pull(lock, store, Hub(fixture_hub.url, patience=clock.patience(10)))
    assert pulled.count(State.FETCHED) == len(CHOSEN)
    assert clock.slept == [7.0] * 6
    assert fixture_hub.count() == 1 + len(CHOSEN) + 6


@pytest.mark.parametrize("year", [1990, 2100])
def test_a_clock_of_another_year_changes_nothing(
    fixture_hub: FixtureHub, lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    slept: list[float] = []
    wrong = datetime(year, 2, 3, tzinfo=UTC).timestamp()
    hub = Hub(fixture_hub.url, patience=Patience(sleep=slept.append, now=lambda: wrong))
    store = Store(tmp_path / "hub", tmp_path / "own")

    def busy(_: Request, true: Response) -> Response:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
        return replace(true.with_headers(("Retry-After", later)), status=429)

    fixture_hub.fault("model.safetensors", busy, times=1)
    pull(lock, store, hub)
    assert 29 <= slept[0] <= 30  # the Hub's own Date is what its Retry-After is held against

    monkeypatch.setattr(time, "time", lambda: wrong)
    model = resolve(WANTED, hub, store)
    assert render_lock(Lock(lock.manifest, (model,))) == render_lock(lock)
    assert pull(lock, store, hub).count(State.THERE) == len(CHOSEN)
