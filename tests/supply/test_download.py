"""Bytes that come wrong, cut, late, twice or not at all; what counts in the end is right, or refused."""

from __future__ import annotations

import gzip
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardtack.errors import AccessDenied, DiskError, HubUnreachable, Mismatch, UnknownRepo
from hardtack.mirror import Served
from hardtack.mirror.messages import Request, Response
from hardtack.spec.digest import hash_bytes
from hardtack.supply.download import Expected, fetch
from hardtack.supply.hub import Hub
from hardtack.supply.problems import Asked
from hardtack.supply.progress import SILENT
from tests.hub import FixtureHub
from tests.supply.conftest import REPO, WEIGHTS, Clock, Heard

NAME = "model.safetensors"
RIGHT = hash_bytes(WEIGHTS)


def bring(hub: Hub, partial: Path, commit: str, *, path: str = NAME, heard: Heard | None = None) -> int:
    asked = Asked(REPO, commit, path)
    expected = Expected(asked, RIGHT.size, RIGHT.sha256)
    url = hub.url(REPO, commit, path)
    fetched = fetch(hub.session, url, expected, partial, progress=heard or SILENT, stop=threading.Event())
    assert partial.read_bytes() == WEIGHTS
    assert fetched.hashes == RIGHT
    return fetched.transferred


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "blob.incomplete"


@pytest.fixture
def commit(fixture_hub: FixtureHub) -> str:
    return fixture_hub.commit(REPO)


def ranges(fixture_hub: FixtureHub) -> list[str]:
    """Make the hub write down the Range of each request for the file."""
    seen: list[str] = []

    def note(request: Request, true: Response) -> Response:
        seen.append(request.header("range") or "")
        return true

    fixture_hub.fault(NAME, note)
    return seen


def test_all_of_it_in_one_request(hub: Hub, partial: Path, commit: str, heard: Heard, fixture_hub: FixtureHub) -> None:
    assert bring(hub, partial, commit, heard=heard) == len(WEIGHTS)
    assert heard.done == {f"{REPO}@{commit}: {NAME}": len(WEIGHTS)}
    assert fixture_hub.count() == 1


@given(kept=st.integers(0, len(WEIGHTS)))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_there_is_not_fetched_again(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub, kept: int
) -> None:
    fixture_hub.forget()
    partial.write_bytes(WEIGHTS[:kept])
    assert bring(hub, partial, commit) == len(WEIGHTS) - kept
    assert fixture_hub.count() == (0 if kept == len(WEIGHTS) else 1)


def test_a_part_that_is_wrong_is_found_out_and_begun_again(
    hub: Hub, partial: Path, commit: str, heard: Heard, fixture_hub: FixtureHub
) -> None:
    seen = ranges(fixture_hub)
    partial.write_bytes(bytes(100) + WEIGHTS[100:2000])
    bring(hub, partial, commit, heard=heard)
    assert seen == ["bytes=2000-", ""]
    assert heard.done == {f"{REPO}@{commit}: {NAME}": len(WEIGHTS)}
    assert any("fetched anew" in text for text in heard.said)


def test_a_part_that_is_too_long_is_begun_again(hub: Hub, partial: Path, commit: str) -> None:
    partial.write_bytes(WEIGHTS + b"more")
    assert bring(hub, partial, commit) == len(WEIGHTS)


def test_right_size_wrong_bytes(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    fixture_hub.wrong_bytes(NAME)
    with pytest.raises(Mismatch, match="other bytes") as caught:
        bring(hub, partial, commit)
    assert NAME in caught.value.where
    assert caught.value.expected == f"sha256 {RIGHT.sha256}"
    assert not partial.exists()


def test_wrong_bytes_after_a_right_part_are_not_kept(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub
) -> None:
    partial.write_bytes(WEIGHTS[:1000])
    fixture_hub.wrong_bytes(NAME, times=1)
    assert bring(hub, partial, commit) == 2 * len(WEIGHTS) - 1000


def test_a_git_lfs_pointer_is_called_one(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    fixture_hub.lfs_pointer(NAME)
    with pytest.raises(Mismatch, match="git-LFS pointer") as caught:
        bring(hub, partial, commit)
    assert caught.value.expected == f"{len(WEIGHTS)} bytes"
    assert not partial.exists()


def test_a_file_of_another_size_is_not_fetched(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    short = Response.of(200, WEIGHTS[:-1], "application/octet-stream")
    fixture_hub.fault(NAME, lambda _, __: short)
    partial.write_bytes(WEIGHTS[:1000])
    with pytest.raises(Mismatch, match="another size"):
        bring(hub, partial, commit)
    assert partial.read_bytes() == WEIGHTS[:1000]  # nothing says that these are wrong


def test_more_than_was_promised_is_refused(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    body = WEIGHTS + b"more"
    fixture_hub.fault(NAME, lambda _, __: Response(200, (("Connection", "close"),), iter([body])))
    with pytest.raises(Mismatch, match="more than the whole file"):
        bring(hub, partial, commit)
    assert not partial.exists()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_truncated_is_tried_again_from_where_it_was_cut(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub, times: int
) -> None:
    seen = ranges(fixture_hub)
    fixture_hub.truncate(NAME, keep=500_000, times=times)
    assert bring(hub, partial, commit) == len(WEIGHTS)
    assert seen == ["", *(f"bytes={500_000 * n}-" for n in range(1, times + 1))]


def test_truncated_for_ever_is_kept_for_later(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub, clock: Clock
) -> None:
    fixture_hub.truncate(NAME, keep=10_000)
    with pytest.raises(HubUnreachable, match="kept") as caught:
        bring(hub, partial, commit)
    assert caught.value.mend == "hardtack pull"
    assert partial.read_bytes() == WEIGHTS[:40_000]
    assert clock.slept == [1.0, 2.0, 4.0]
    fixture_hub.heal()
    assert bring(hub, partial, commit) == len(WEIGHTS) - 40_000


def test_attempts_that_bring_much_are_not_counted(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub, clock: Clock
) -> None:
    impatient = Hub(fixture_hub.url, patience=clock.patience(2))
    fixture_hub.truncate(NAME, keep=1_100_000, times=2)
    assert bring(impatient, partial, commit) == len(WEIGHTS)


def test_an_end_without_a_length_is_not_the_end(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    part = Response(200, (("Connection", "close"),), iter([WEIGHTS[:1000]]))
    fixture_hub.fault(NAME, lambda _, __: part, times=1)
    assert bring(hub, partial, commit) == len(WEIGHTS)


def test_a_reset_is_tried_again(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    fixture_hub.reset(NAME, after=400_000, times=2)
    assert bring(hub, partial, commit) == len(WEIGHTS)


def test_a_stall_is_not_waited_for(partial: Path, commit: str, fixture_hub: FixtureHub, clock: Clock) -> None:
    fixture_hub.stall(NAME, after=700_000, times=1)
    seen = ranges(fixture_hub)
    hub = Hub(fixture_hub.url, timeout=0.3, patience=clock.patience())
    assert bring(hub, partial, commit) == len(WEIGHTS)
    assert seen == ["", "bytes=700000-"]


def test_busy_then_fine(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub, clock: Clock) -> None:
    fixture_hub.busy(NAME, times=2, retry_after=9)
    assert bring(hub, partial, commit) == len(WEIGHTS)
    assert clock.slept == [9.0, 9.0]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_broken_then_fine(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub, clock: Clock, status: int
) -> None:
    fixture_hub.broken(NAME, times=1, status=status)
    assert bring(hub, partial, commit) == len(WEIGHTS)
    assert clock.slept == [1.0]


def test_a_hub_that_knows_no_ranges_is_begun_again(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub
) -> None:
    whole = Response.of(200, WEIGHTS, "application/octet-stream")
    fixture_hub.fault(NAME, lambda _, __: whole)
    partial.write_bytes(WEIGHTS[:1000])
    assert bring(hub, partial, commit) == len(WEIGHTS)


@pytest.mark.parametrize("content_range", ["bytes 5-9/3000000", "bytes */3000000", "", "items 1000-2999999/3000000"])
def test_another_part_than_the_one_asked_for_is_not_used(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub, content_range: str
) -> None:
    odd = Response.of(206, WEIGHTS[5:10], "application/octet-stream", ("Content-Range", content_range))
    fixture_hub.fault(NAME, lambda _, __: odd, times=1)
    partial.write_bytes(WEIGHTS[:1000])
    assert bring(hub, partial, commit) == len(WEIGHTS)


def test_a_range_that_cannot_be_is_begun_again(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    fixture_hub.fault(NAME, lambda _, __: Response.of(416, b"", "text/plain"), times=1)
    partial.write_bytes(WEIGHTS[:1000])
    assert bring(hub, partial, commit) == len(WEIGHTS)


def test_no_such_file(hub: Hub, partial: Path, commit: str) -> None:
    with pytest.raises(UnknownRepo, match="no such file"):
        bring(hub, partial, commit, path="other.safetensors")
    assert not partial.exists()


def test_no_such_file_on_a_mirror_that_gives_no_code(
    hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub
) -> None:
    fixture_hub.fault(NAME, lambda _, __: Response.of(404, b"not found", "text/plain"))
    with pytest.raises(UnknownRepo, match="no such file"):
        bring(hub, partial, commit)


def test_gated(folder: Path, partial: Path) -> None:
    with FixtureHub(Served(REPO, folder, gated=True)) as fixture:
        with pytest.raises(AccessDenied, match="gated") as caught:
            bring(Hub(fixture.url), partial, fixture.commit(REPO))
        assert "hf auth login" in caught.value.mend
        assert not partial.exists()
    with FixtureHub(Served(REPO, folder, gated=True), token="t0ken") as fixture:
        commit = fixture.commit(REPO)
        assert bring(Hub(fixture.url, "t0ken", token_for_other_hubs=True), partial, commit) == len(WEIGHTS)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_hub_keeps_the_token(folder: Path, partial: Path, status: int) -> None:
    with FixtureHub(Served(REPO, folder, gated=True), token="t0ken") as fixture:
        commit = fixture.commit(REPO)
        moved = Response(
            status, (("Location", f"/{REPO}/resolve/{commit}/{NAME}?download=true"), ("Content-Length", "0"))
        )
        fixture.fault(f"/{REPO}/resolve/old*/{NAME}", lambda _, __: moved)
        hub = Hub(fixture.url, "t0ken", token_for_other_hubs=True)
        url = hub.url(REPO, "old", NAME)
        expected = Expected(Asked(REPO, "old", NAME), RIGHT.size, RIGHT.sha256)
        fetch(hub.session, url, expected, partial, progress=SILENT, stop=threading.Event())
        assert partial.read_bytes() == WEIGHTS


def test_a_redirect_to_another_host_loses_the_token_and_keeps_the_range(folder: Path, partial: Path) -> None:
    with FixtureHub(Served(REPO, folder)) as store, FixtureHub(Served(REPO, folder)) as fixture:
        commit = fixture.commit(REPO)
        seen: list[Request] = []

        def note(request: Request, true: Response) -> Response:
            seen.append(request)
            return true

        away = Response(302, (("Location", f"{store.url}/{REPO}/resolve/{commit}/{NAME}"), ("Content-Length", "0")))
        fixture.fault("*", note)
        fixture.fault(NAME, lambda _, __: away)
        store.fault("*", note)
        partial.write_bytes(WEIGHTS[:1000])
        bring(Hub(fixture.url, "t0ken", token_for_other_hubs=True), partial, commit)
        assert [request.header("authorization") for request in seen] == ["Bearer t0ken", None]
        assert [request.header("range") for request in seen] == ["bytes=1000-", "bytes=1000-"]


def test_a_body_that_is_packed_all_the_same(hub: Hub, partial: Path, commit: str, fixture_hub: FixtureHub) -> None:
    packed = Response.of(200, gzip.compress(WEIGHTS, 1), "application/octet-stream", ("Content-Encoding", "gzip"))
    fixture_hub.fault(NAME, lambda _, __: packed)
    assert bring(hub, partial, commit) == len(WEIGHTS)


def test_an_empty_file(hub: Hub, partial: Path, fixture_hub: FixtureHub, commit: str) -> None:
    fixture_hub.fault(NAME, lambda _, __: Response.of(200, b"", "text/plain"))
    empty = hash_bytes(b"")
    expected = Expected(Asked(REPO, commit, NAME), 0, empty.sha256, empty.git)
    fetch(hub.session, hub.url(REPO, commit, NAME), expected, partial, progress=SILENT, stop=threading.Event())
    assert partial.read_bytes() == b""


def test_a_partial_file_that_cannot_be_made(hub: Hub, tmp_path: Path, commit: str) -> None:
    with pytest.raises(DiskError):
        bring(hub, tmp_path / "no such folder" / "x", commit)
