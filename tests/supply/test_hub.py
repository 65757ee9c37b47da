"""What the Hub says is parsed, checked, and its refusals become errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardtack.errors import AccessDenied, HubUnreachable, Misused, Refused, UnknownRepo
from hardtack.mirror import Served
from hardtack.mirror.messages import Request, Response
from hardtack.supply.hub import Hub
from hardtack.supply.patience import Patience
from tests.hub import FixtureHub, content_of
from tests.supply.conftest import FILES, REPO, WEIGHTS, Clock


def test_a_listing_has_commit_files_hashes_and_licence_in_one_request(hub: Hub, fixture_hub: FixtureHub) -> None:
    listing = hub.list(REPO, "main")
    assert listing.commit == fixture_hub.commit(REPO)
    assert listing.license == "apache-2.0"
    assert not listing.gated
    assert [file.path for file in listing.files] == sorted(FILES)
    weights = listing.get("model.safetensors")
    assert weights is not None
    assert (weights.size, weights.git) == (len(WEIGHTS), "")
    assert len(weights.sha256) == 64
    config = listing.get("config.json")
    assert config is not None
    assert (len(config.git), config.sha256) == (40, "")
    assert [seen.target for seen in fixture_hub.seen] == [f"/api/models/{REPO}/revision/main?blobs=true"]


def test_a_wrong_revision_is_named_with_what_mends_it(hub: Hub) -> None:
    with pytest.raises(UnknownRepo, match="no revision 'v9'") as caught:
        hub.list(REPO, "v9")
    assert caught.value.where == REPO
    assert caught.value.mend.startswith("git ls-remote ")


def test_an_unknown_repository_is_named(hub: Hub) -> None:
    with pytest.raises(UnknownRepo, match="'org/nothing'"):
        hub.list("org/nothing", "main")


@pytest.mark.parametrize("name", ["", "a/b/c", "../x", "org/na me", "org--x", "https://hub/org/x"])
def test_what_cannot_be_a_repository_is_asked_of_nobody(hub: Hub, fixture_hub: FixtureHub, name: str) -> None:
    with pytest.raises(Misused):
        hub.list(name, "main")
    assert fixture_hub.seen == []


def test_a_private_repository_is_as_if_it_were_not_there(folder: Path) -> None:
    with FixtureHub(Served(REPO, folder, private=True), token="t0ken") as fixture:
        with pytest.raises(UnknownRepo):
            Hub(fixture.url).list(REPO, "main")
        with pytest.raises(UnknownRepo) as caught:
            Hub(fixture.url, "t0ken").list(REPO, "main")
        assert "not the default Hub" in caught.value.found
        assert Hub(fixture.url, "t0ken", token_for_other_hubs=True).list(REPO, "main").repo == REPO


@pytest.mark.parametrize(("status", "code"), [(401, ""), (403, ""), (403, "GatedRepo"), (401, "GatedRepo")])
def test_denied(hub: Hub, fixture_hub: FixtureHub, status: int, code: str) -> None:
    headers = (("X-Error-Code", code),) if code else ()
    fixture_hub.fault("*/revision/*", lambda _, __: Response.json({"error": "no"}, *headers, status=status))
    with pytest.raises(AccessDenied) as caught:
        hub.list(REPO, "main")
    assert "hf auth login" in caught.value.mend


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../../x", "C:/x", "a\\..\\x", "con.json", "a\nb", ".."])
@pytest.mark.parametrize("lfs", [False, True])
def test_hostile_names_are_refused(hub: Hub, fixture_hub: FixtureHub, name: str, lfs: bool) -> None:
    fixture_hub.hostile_names(name, lfs=lfs)
    with pytest.raises(Refused, match="must not reach a disk") as caught:
        hub.list(REPO, "main")
    assert repr(name) in caught.value.found


@pytest.mark.parametrize(
    "change",
    [
        {"sha": "main"}, {"sha": None}, {"id": "../x"}, {"id": 3}, {"siblings": None}, {"siblings": [3]},
        {"siblings": [{"rfilename": "a", "size": -1, "blobId": "0" * 40}]},
        {"siblings": [{"rfilename": "a", "size": 1}]},
        {"siblings": [{"rfilename": "a", "size": 1, "blobId": "../x"}]},
        {"siblings": [{"rfilename": "a", "size": 1, "blobId": "0" * 40, "lfs": {"sha256": "../../x"}}]},
        {"siblings": [{"rfilename": "a", "size": 1, "blobId": "0" * 40}] * 2},
    ],
)  # fmt: skip
def test_an_answer_that_breaks_the_protocol_is_not_believed(
    hub: Hub, fixture_hub: FixtureHub, change: dict[str, object]
) -> None:
    fixture_hub.fault("*/revision/*", lambda _, true: Response.json(json.loads(content_of(true)) | change))
    with pytest.raises(HubUnreachable):
        hub.list(REPO, "main")


def test_another_commit_than_the_one_asked_for_is_not_believed(hub: Hub, fixture_hub: FixtureHub) -> None:
    commit = fixture_hub.commit(REPO)
    fixture_hub.fault("*/revision/*", lambda _, true: Response.json(json.loads(content_of(true)) | {"sha": "f" * 40}))
    with pytest.raises(HubUnreachable):
        hub.list(REPO, commit)


def test_an_answer_that_is_not_json(hub: Hub, fixture_hub: FixtureHub) -> None:
    fixture_hub.fault("*", lambda _, __: Response.of(200, b"<html>sign in</html>", "text/html"))
    with pytest.raises(HubUnreachable, match="not JSON"):
        hub.list(REPO, "main")


def test_a_renamed_repository_has_its_new_name(hub: Hub, fixture_hub: FixtureHub) -> None:
    def renamed(request: Request, _: Response) -> Response:
        return Response(307, (("Location", request.path.replace("old/name", REPO)), ("Content-Length", "0")))

    fixture_hub.fault("/api/models/old/name/*", renamed)  # the Location has lost ?blobs=true
    listing = hub.list("old/name", "main")
    assert listing.repo == REPO
    assert listing.get("model.safetensors") is not None


def test_busy_is_waited_out_as_long_as_the_hub_asks(hub: Hub, fixture_hub: FixtureHub, clock: Clock) -> None:
    fixture_hub.busy("*/revision/*", times=2, retry_after=17)
    assert hub.list(REPO, "main").repo == REPO
    assert clock.slept == [17.0, 17.0]


def test_broken_is_waited_out(hub: Hub, fixture_hub: FixtureHub, clock: Clock) -> None:
    fixture_hub.broken("*/revision/*", times=1)
    assert hub.list(REPO, "main").repo == REPO
    assert clock.slept == [1.0]


def test_nobody_waits_an_hour(hub: Hub, fixture_hub: FixtureHub, clock: Clock) -> None:
    fixture_hub.busy("*/revision/*", times=1, retry_after=3600)
    with pytest.raises(HubUnreachable) as caught:
        hub.list(REPO, "main")
    assert "429" in caught.value.found
    assert clock.slept == []


def test_patience_ends(hub: Hub, fixture_hub: FixtureHub, clock: Clock) -> None:
    fixture_hub.broken("*/revision/*", times=None, status=502)
    with pytest.raises(HubUnreachable) as caught:
        hub.list(REPO, "main")
    assert "502" in caught.value.found
    assert clock.slept == [1.0, 2.0, 4.0]


def test_nobody_answers(clock: Clock) -> None:
    with pytest.raises(HubUnreachable) as caught:
        Hub("http://127.0.0.1:9", patience=clock.patience(2)).list(REPO, "main")
    assert "ConnectError" in caught.value.found


def test_silence_is_not_waited_for(fixture_hub: FixtureHub, clock: Clock) -> None:
    fixture_hub.stall("*/revision/*", after=10)
    with pytest.raises(HubUnreachable, match="did not answer") as caught:
        Hub(fixture_hub.url, timeout=0.2, patience=clock.patience(2)).list(REPO, "main")
    assert "ReadTimeout" in caught.value.found


@pytest.mark.parametrize("endpoint", ["huggingface.co", "ftp://x", "file:///etc", "https://"])
def test_an_endpoint_must_be_an_address(endpoint: str) -> None:
    with pytest.raises(Misused):
        Hub(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "told", "sent"),
    [
        ("https://huggingface.co", False, True), ("https://huggingface.co/", False, True),
        ("https://hub.example", False, False), ("https://hub.example", True, True),
        ("http://127.0.0.1:1", False, False), ("http://127.0.0.1:1", True, True), ("http://[::1]:1", True, True),
        ("http://localhost:1", True, True), ("http://hub.example", True, False), ("http://huggingface.co", True, False),
        ("http://127.0.0.1.evil.example", True, False),
    ],
)  # fmt: skip
def test_who_gets_the_token(endpoint: str, told: bool, sent: bool) -> None:
    session = Hub(endpoint, "t0ken", token_for_other_hubs=told).session
    assert session.has_token is sent
    assert bool(session.withheld) is not sent


def test_a_token_in_the_environment_is_not_picked_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fixture_hub: FixtureHub
) -> None:
    monkeypatch.setenv("HF_TOKEN", "t0ken")
    headers: list[dict[str, str]] = []

    def note(request: Request, true: Response) -> Response:
        headers.append(dict(request.headers or {}))
        return true

    fixture_hub.fault("*", note)
    Hub(fixture_hub.url).list(REPO, "main")
    assert "authorization" not in headers[0]
    assert headers[0]["user-agent"].startswith("hardtack/")
    assert "agent/" not in headers[0]["user-agent"].removeprefix("hardtack/")
    assert headers[0]["accept-encoding"] == "identity"


@given(st.integers(0, 86_400))
def test_asked_to_wait(seconds: int) -> None:
    patience = Patience(now=lambda: 1_445_412_480.0 - seconds)
    assert patience.asked_for({"retry-after": str(seconds)}) == seconds
    assert patience.asked_for({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == seconds
    assert patience.asked_for({"ratelimit": f'"api";r=0;t={seconds}'}) == seconds
    assert patience.asked_for({"ratelimit": f'"api";r=9;t={seconds}'}) is None
    assert patience.asked_for({"retry-after": "soon"}) is None
