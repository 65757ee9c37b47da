from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.mirror import Content, Served
from hardtack.mirror.git import blob_id
from hardtack.mirror.messages import Request, Response, Slice
from hardtack.mirror.protocol import Rules, answer
from tests.hub import content_of, lay_out

from .conftest import FILES

COMMIT, OLD = "a" * 40, "b" * 40
WEIGHTS = FILES["model.safetensors"]
SHA256 = hashlib.sha256(bytes(range(256)) * 40).hexdigest()
Ask = Callable[..., Response]
OPEN = Rules()


@pytest.fixture
def content(folder: Path, tmp_path: Path) -> Content:
    old = lay_out(tmp_path / "old", {"config.json": "old"})
    return Content.gather(
        [
            Served("org/tiny", folder, commit=COMMIT),
            Served("org/tiny", old, commit=OLD, refs=("refs/pr/1", "refs/tags/v1")),
            Served("bare", folder),
            Served("org/gated", folder, gated=True),
            Served("org/private", folder, private=True),
        ]
    )


@pytest.fixture
def ask(content: Content) -> Ask:
    def ask(path: str, method: str = "GET", rules: Rules = OPEN, body: bytes = b"", **headers: str) -> Response:
        path, _, query = path.partition("?")
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return answer(content, Request(method, path, query, fields, body, "http://hub:1"), rules)

    return ask


def data(response: Response) -> Any:
    assert response.status == 200
    assert response.header("Content-Length") == str(len(content_of(response)))
    return json.loads(content_of(response))


def problem(response: Response) -> tuple[int, str | None]:
    assert response.header("X-Error-Message")
    assert json.loads(content_of(response))["error"] == response.header("X-Error-Message")
    return response.status, response.header("X-Error-Code")


# Models.


def test_a_model(ask: Ask) -> None:
    info = data(ask("/api/models/org/tiny"))
    assert info["id"] == info["modelId"] == "org/tiny"
    assert (info["author"], info["sha"]) == ("org", COMMIT)
    assert (info["private"], info["gated"], info["disabled"]) == (False, False, False)
    assert info["siblings"] == [{"rfilename": path} for path in sorted(FILES)]
    assert info["cardData"]["license"] == "apache-2.0"
    assert "license:apache-2.0" in info["tags"]
    assert info["config"] == {"model_type": "bert", "architectures": ["BertModel"]}
    assert (info["library_name"], info["pipeline_tag"]) == ("sentence-transformers", "sentence-similarity")
    assert info["lastModified"].endswith(".000Z")


@pytest.mark.parametrize("query", ["blobs=True", "blobs=true", "blobs=1&expand=siblings&expand=tags"])
def test_a_model_with_its_blobs(ask: Ask, query: str) -> None:
    siblings = {each.pop("rfilename"): each for each in data(ask(f"/api/models/org/tiny?{query}"))["siblings"]}
    assert siblings["empty.txt"] == {"size": 0, "blobId": blob_id(b"")}
    assert siblings["model.safetensors"]["lfs"] == {"sha256": SHA256, "size": len(WEIGHTS), "pointerSize": 130}
    assert siblings["model.safetensors"]["size"] == len(WEIGHTS)


def test_security_is_never_claimed(ask: Ask) -> None:
    status = data(ask("/api/models/org/tiny?securityStatus=True"))["securityRepoStatus"]
    assert status == {"scansDone": False, "filesWithIssues": []}


@pytest.mark.parametrize("name", ["refs%2Fpr%2F1", "refs/pr/1", "v1", "refs%2Ftags%2Fv1", OLD])
def test_a_revision(ask: Ask, name: str) -> None:
    info = data(ask(f"/api/models/org/tiny/revision/{name}"))
    assert (info["sha"], info["siblings"]) == (OLD, [{"rfilename": "config.json"}])
    assert content_of(ask(f"/org/tiny/resolve/{name}/config.json")) == b"old"


def test_a_bare_id(ask: Ask) -> None:
    info = data(ask("/api/models/bare"))
    assert (info["id"], info["author"]) == ("bare", None)
    assert data(ask("/api/models/bare/revision/main"))["sha"] == info["sha"]
    assert ask("/bare/resolve/main/deep/er/notes.txt").status == 200


def test_the_listing(ask: Ask) -> None:
    def ids(query: str) -> list[str]:
        return [each["id"] for each in data(ask(f"/api/models?{query}"))]

    assert ids("") == ["bare", "org/gated", "org/tiny"]
    assert ids("search=TIN") == ["org/tiny"]
    assert ids("author=org") == ["org/gated", "org/tiny"]
    assert ids("pipeline_tag=fill-mask") == ids("filter=license:mit") == ids("search=nothing") == []
    assert ids("filter=license:apache-2.0&filter=bert&search=bare") == ["bare"]
    assert "siblings" not in data(ask("/api/models"))[0]
    assert "siblings" in data(ask("/api/models?full=True"))[0]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/models/org/nothing", (404, "RepoNotFound")),
        ("/api/models/nothing/revision/main", (404, "RepoNotFound")),
        ("/org/nothing/resolve/main/config.json", (404, "RepoNotFound")),
        ("/api/models/org/private", (404, "RepoNotFound")),
        ("/org/private/resolve/main/config.json", (404, "RepoNotFound")),
        ("/api/datasets/org/tiny", (404, "RepoNotFound")),
        ("/datasets/org/tiny/resolve/main/x", (404, "RepoNotFound")),
        ("/api/models/org/tiny/revision/none", (404, "RevisionNotFound")),
        (f"/org/tiny/resolve/{'c' * 40}/config.json", (404, "RevisionNotFound")),
        ("/api/models/org/tiny/tree/none", (404, "RevisionNotFound")),
        ("/org/tiny/resolve/main/none.json", (404, "EntryNotFound")),
        ("/org/tiny/resolve/main/deep", (404, "EntryNotFound")),
        ("/api/models/org/tiny/tree/main/none", (404, "EntryNotFound")),
        ("/api/models/org/tiny/tree/main/config.json", (404, "EntryNotFound")),
        ("/org/gated/resolve/main/config.json", (403, "GatedRepo")),
        ("/api/models/org/gated/auth-check", (403, "GatedRepo")),
        ("/api/models/org/tiny/xet-read-token/main", (404, None)),
        ("/nowhere", (404, None)),
    ],
)
def test_problems(ask: Ask, path: str, expected: tuple[int, str | None]) -> None:
    response = ask(path)
    assert problem(response) == expected
    assert (response.header("X-Repo-Commit") == COMMIT) == (expected[1] == "EntryNotFound")
    head = ask(path, "HEAD")
    assert (head.status, head.headers, head.body) == (response.status, response.headers, b"")


def test_a_gated_repository_is_shown_but_not_given(ask: Ask) -> None:
    assert data(ask("/api/models/org/gated"))["gated"] == "manual"
    assert data(ask("/api/models/org/tiny/auth-check")) == {}


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_is_ever_written(ask: Ask, method: str) -> None:
    for path in ("/api/models/org/tiny", "/org/tiny/resolve/main/config.json", "/"):
        response = ask(path, method, body=b"x")
        assert (response.status, response.header("Allow")) == (405, "GET, HEAD")
    assert ask("/api/repos/create", method, body=b"x").status == 405
    assert ask("/api/models/org/tiny/paths-info/main").header("Allow") == "POST"


# Trees.


def test_a_tree(ask: Ask) -> None:
    entries = {each["path"]: each for each in data(ask("/api/models/org/tiny/tree/main?recursive=true&expand=false"))}
    assert list(entries) == sorted([*FILES, "1_Pooling", "deep", "deep/er"])
    assert entries["deep"]["type"] == "directory"
    assert entries["empty.txt"] == {"type": "file", "oid": blob_id(b""), "size": 0, "path": "empty.txt"}
    weights = entries["model.safetensors"]
    assert weights["lfs"] == {"oid": SHA256, "size": len(WEIGHTS), "pointerSize": 130}
    assert weights["oid"] not in (SHA256, blob_id(bytes(range(256)) * 40))


@pytest.mark.parametrize("path", ["deep%2Fer", "deep/er", "deep/er/"])
def test_a_sub_tree(ask: Ask, path: str) -> None:
    assert [each["path"] for each in data(ask(f"/api/models/org/tiny/tree/main/{path}"))] == ["deep/er/notes.txt"]


def test_a_tree_is_flat_unless_asked(ask: Ask) -> None:
    paths = [each["path"] for each in data(ask("/api/models/org/tiny/tree/main?recursive=False"))]
    assert paths == sorted({path.partition("/")[0] for path in FILES})


@pytest.mark.parametrize("size", range(1, 13))
def test_pages_together_are_the_whole(ask: Ask, size: int) -> None:
    whole = data(ask("/api/models/org/tiny/tree/main?recursive=true"))
    url, pages = "/api/models/org/tiny/tree/main?recursive=true", []
    while url:
        response = ask(url, rules=Rules(page_size=size))
        pages.append(data(response))
        link = response.header("Link")
        url = ""
        if link:
            assert link.endswith('>; rel="next"')
            assert link.isascii()
            url = link[1:].partition(">")[0].removeprefix("http://hub:1")
    assert [each for page in pages for each in page] == whole
    assert {len(page) for page in pages[:-1]} <= {size}
    assert 0 < len(pages[-1]) <= size


def test_a_limit_makes_smaller_pages_and_no_larger_ones(ask: Ask) -> None:
    for limit, expected in ((2, 2), (0, 1), (100, 3)):
        url = f"/api/models/org/tiny/tree/main?limit={limit}"
        assert len(data(ask(url, rules=Rules(page_size=3)))) == expected
    for nonsense in ("-1", "x", "1e9", "٣", "9" * 5000):
        url = f"/api/models/org/tiny/tree/main?limit={quote(nonsense)}"
        assert len(data(ask(url, rules=Rules(page_size=3)))) == 3


def test_paths_info(ask: Ask) -> None:
    url = "/api/models/org/tiny/paths-info/main"
    paths = ["config.json", "deep", "none", "config.json", "../etc/passwd", ""]
    form = urlencode({"paths": paths, "expand": False}, doseq=True).encode()
    entries = data(ask(url, "POST", body=form, content_type="application/x-www-form-urlencoded"))
    assert [(each["path"], each["type"]) for each in entries] == [("config.json", "file"), ("deep", "directory")]
    as_json = json.dumps({"paths": paths, "expand": True}).encode()
    more = data(ask(url, "POST", body=as_json, content_type="application/json"))
    assert [{name: value for name, value in each.items() if name != "lastCommit"} for each in more] == entries
    assert {each["lastCommit"]["id"] for each in more} == {COMMIT}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b'{"paths": 1}', b'{"paths": [1, null, {}]}', b"[" * 100_000]
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_paths_info_of_nonsense_is_nothing(ask: Ask, body: bytes, kind: str) -> None:
    assert data(ask("/api/models/org/tiny/paths-info/main", "POST", body=body, content_type=kind)) == []


# Files.


@pytest.mark.parametrize("prefix", ["", "/api/models"])
@pytest.mark.parametrize("path", FILES)
def test_a_file(ask: Ask, prefix: str, path: str) -> None:
    expected = FILES[path]
    expected = expected.encode() if isinstance(expected, str) else expected
    url = f"{prefix}/org/tiny/resolve/main/{quote(path)}"
    response = ask(url)
    assert (response.status, content_of(response)) == (200, expected)
    assert response.header("X-Repo-Commit") == COMMIT
    assert response.header("Content-Length") == str(len(expected))
    assert response.header("Accept-Ranges") == "bytes"
    lfs = path.endswith(".safetensors")
    etag = f'"{SHA256 if lfs else blob_id(expected)}"'
    assert response.header("ETag") == etag
    assert response.header("X-Linked-Etag") == (etag if lfs else None)
    assert response.header("X-Linked-Size") == (str(len(expected)) if lfs else None)
    head = ask(url, "HEAD", range="bytes=0-0")
    assert (head.status, head.headers, head.body) == (200, response.headers, b"")


@pytest.mark.parametrize(
    ("asked", "given", "content_range"),
    [
        ("bytes=0-0", WEIGHTS[:1], "0-0"),
        ("bytes=10000-", WEIGHTS[10000:], "10000-10239"),
        ("bytes=-3", WEIGHTS[-3:], "10237-10239"),
    ],
)
def test_a_part_of_a_file(ask: Ask, asked: str, given: bytes, content_range: str) -> None:
    response = ask("/org/tiny/resolve/main/model.safetensors", range=asked)
    assert (response.status, content_of(response)) == (206, given)
    assert response.header("Content-Range") == f"bytes {content_range}/10240"
    assert response.header("Content-Length") == str(len(given))
    assert response.header("X-Linked-Size") == "10240"


def test_a_part_that_is_not_there(ask: Ask) -> None:
    response = ask("/org/tiny/resolve/main/model.safetensors", range="bytes=10240-")
    assert (response.status, response.header("Content-Range")) == (416, "bytes */10240")
    assert response.header("Content-Length") == str(len(content_of(response)))


@pytest.mark.parametrize(
    ("if_range", "status"),
    [(f'"{SHA256}"', 206), ('"other"', 200), (f'W/"{SHA256}"', 200), ("Sat, 21 Nov 2026 00:00:00 GMT", 200)],
)
def test_if_range(ask: Ask, if_range: str, status: int) -> None:
    assert ask("/org/tiny/resolve/main/model.safetensors", range="bytes=0-9", if_range=if_range).status == status


# The rest.


def test_refs(ask: Ask) -> None:
    refs = data(ask("/api/models/org/tiny/refs"))
    assert refs == {
        "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": COMMIT}],
        "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": OLD}],
        "converts": [],
    }
    requests = data(ask("/api/models/org/tiny/refs?include_prs=1"))["pullRequests"]
    assert requests == [{"name": "1", "ref": "refs/pr/1", "targetCommit": OLD}]


def test_commits(ask: Ask) -> None:
    (commit,) = data(ask("/api/models/org/tiny/commits/refs%2Fpr%2F1?expand[]=formatted"))
    assert commit["id"] == OLD
    assert commit.keys() == {"id", "title", "message", "date", "authors"}


def test_agent_harnesses_are_none(ask: Ask) -> None:
    assert data(ask("/api/agent-harnesses")) == {"standardEnvVars": [], "harnesses": {}}


def test_the_page(ask: Ask) -> None:
    response = ask("/")
    text = content_of(response).decode()
    assert response.header("Content-Type") == "text/html; charset=utf-8"
    assert "HF_ENDPOINT=http://hub:1" in text
    assert "org/tiny" in text
    assert COMMIT in text
    assert "org/private" not in text
    assert text.count("gated: with a token") == 1


def test_nothing_ever_speaks_of_xet_or_redirects(ask: Ask) -> None:
    for url in (
        "/org/tiny/resolve/main/model.safetensors",
        "/api/models/org/tiny?blobs=1",
        "/api/models/org/tiny/tree/main",
    ):
        response = ask(url)
        assert response.status == 200
        assert not any("xet" in f"{name}{value}".lower() for name, value in response.headers)
        assert response.header("Location") is response.header("Content-Encoding") is None
        if not isinstance(response.body, Slice):
            assert b"xet" not in content_of(response).lower()


# Tokens.

TOKEN = Rules(token="hf_secret")


@pytest.mark.parametrize(
    "path", ["/", "/api/models", "/api/models/org/tiny", "/org/tiny/resolve/main/config.json", "/x"]
)
def test_without_the_token_there_is_nothing(ask: Ask, path: str) -> None:
    assert problem(ask(path, rules=TOKEN)) == (401, "RepoNotFound")
    for wrong in ("Bearer hf_other", "Bearer", "Bearer hf_secret2", "Basic hf_secret", "hf_secret", "Bearer hf_sécret"):
        response = ask(path, rules=TOKEN, authorization=wrong)
        assert problem(response) == (401, None)
        assert response.header("X-Error-Message") == "Invalid credentials in Authorization header"
        assert response.header("WWW-Authenticate")


def test_with_the_token_there_is_everything(ask: Ask) -> None:
    def shown(path: str) -> Response:
        return ask(path, rules=TOKEN, authorization="Bearer hf_secret")

    assert shown("/org/gated/resolve/main/config.json").status == 200
    assert data(shown("/api/models/org/private"))["private"] is True
    assert "org/private" in {each["id"] for each in data(shown("/api/models"))}
    assert data(shown("/api/whoami-v2"))["name"] == "mirror"
    assert "HF_TOKEN" in content_of(shown("/")).decode()


def test_without_a_token_nobody_is_anyone(ask: Ask) -> None:
    assert ask("/api/whoami-v2").status == 401
    assert ask("/api/whoami-v2", authorization="Bearer anything").status == 401
    assert ask("/org/private/resolve/main/config.json", authorization="Bearer None").status == 404


def test_the_token_may_be_asked_for_only_where_it_is_needed(ask: Ask) -> None:
    rules = Rules(token="hf_secret", gated_only=True)
    assert ask("/org/tiny/resolve/main/config.json", rules=rules).status == 200
    assert ask("/org/tiny/resolve/main/config.json", rules=rules, authorization="Bearer of-another-hub").status == 200
    assert data(ask("/api/models/org/gated", rules=rules))["gated"] == "manual"
    for path in ("/org/gated/resolve/main/config.json", "/api/models/org/gated/auth-check"):
        assert problem(ask(path, rules=rules)) == (403, "GatedRepo")
        assert ask(path, rules=rules, authorization="Bearer hf_secret").status == 200
    assert problem(ask("/api/models/org/private", rules=rules)) == (404, "RepoNotFound")


# What the Hub does besides.


@pytest.mark.parametrize("name", ["ORG/Tiny", "org/TINY"])
def test_ids_in_any_case(ask: Ask, name: str) -> None:
    assert data(ask(f"/api/models/{name}"))["id"] == "org/tiny"
    assert ask(f"/{name}/resolve/main/config.json").status == 200
    assert problem(ask("/api/models/ORG/PRIVATE")) == (404, "RepoNotFound")
    assert problem(ask("/ORG/gated/resolve/main/config.json")) == (403, "GatedRepo")


@pytest.mark.parametrize(
    "query", ["expand=sha&expand=tags", "expand[]=sha&expand[]=tags", "expand%5B%5D=sha&expand=tags"]
)
def test_just_the_fields_that_are_asked_for(ask: Ask, query: str) -> None:
    assert {*data(ask(f"/api/models/org/tiny?{query}"))} == {"_id", "id", "sha", "tags"}
    assert {*data(ask(f"/api/models?{query}"))[0]} == {"_id", "id", "sha", "tags"}


def test_the_listing_by_date(tmp_path: Path) -> None:
    for name, when in (("a", 1_000), ("b", 3_000), ("c", 2_000)):
        os.utime(lay_out(tmp_path / name, {"config.json": "{}"}) / "config.json", (when, when))
    content = Content.gather(Served(f"org/{name}", tmp_path / name) for name in "abc")

    def ids(query: str) -> list[str]:
        found, request = [], Request("GET", "/api/models", query)
        while True:
            response = answer(content, request, Rules(page_size=1))
            found += [each["id"][-1] for each in data(response)]
            if (link := response.header("Link")) is None:
                return found
            request = Request("GET", "/api/models", link.partition("?")[2].partition(">")[0])

    assert ids("sort=lastModified") == ["b", "c", "a"]
    assert ids("sort=lastModified&direction=1") == ["a", "c", "b"]
    assert ids("sort=downloads") == ids("") == ["a", "b", "c"]


def test_last_commits_where_they_are_asked_for(ask: Ask) -> None:
    entries = data(ask("/api/models/org/tiny/tree/main?expand=true&recursive=true"))
    assert {each["lastCommit"]["id"] for each in entries} == {COMMIT}
    assert {*entries[0]["lastCommit"]} == {"id", "title", "date"}
    assert "lastCommit" not in data(ask("/api/models/org/tiny/tree/main?expand=false"))[0]


# Whatever is asked.

SEGMENTS = st.sampled_from(
    [
        *("..", ".", "", "%2e%2e", "..%2f", "%2F", "%5c", "%00", "%0d%0aX-Evil:1", "%ff", "a\nb", "ü", ">"),
        *("etc", "passwd", "api", "models", "org", "tiny", "resolve", "main", "tree", "revision", "refs", "commits"),
        *("paths-info", "config.json", "deep", "ORG", "Tiny", "CONFIG.JSON"),
    ]
)


@settings(deadline=None)
@given(
    segments=st.lists(SEGMENTS, max_size=9), method=st.sampled_from(["GET", "HEAD", "POST"]), suffix=st.text(max_size=5)
)
def test_no_request_escapes(property_content: Content, segments: list[str], method: str, suffix: str) -> None:
    """Only scanned files are ever given, the status is always one of ours, and no header can be split."""
    known = {
        file.source
        for repo in property_content.repos.values()
        for r in repo.revisions.values()
        for file in r.files.values()
    }
    path = "/" + "/".join([*segments, suffix])
    response = answer(property_content, Request(method, path, body=b"paths=..%2f..%2fx"), Rules(page_size=1))
    assert response.status in (200, 401, 404, 405)
    for name, value in response.headers:
        assert f"{name}{value}".isprintable()
        assert f"{name}{value}".isascii()
    if isinstance(response.body, Slice):
        assert response.body.source in known


@settings(deadline=None)
@given(path=st.text())
def test_no_path_in_a_repository_escapes(property_content: Content, path: str) -> None:
    files = next(iter(property_content.repos["org/tiny"].revisions.values())).files
    response = answer(property_content, Request("GET", f"/org/tiny/resolve/main/{quote(path)}"))
    if path in files:
        assert content_of(response) == files[path].source.read_bytes()
    else:
        assert response.status == 404


@pytest.fixture(scope="module")
def property_content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    top = tmp_path_factory.mktemp("property")
    lay_out(top, {"secret": "secret"})
    return Content.gather([Served("org/tiny", lay_out(top / "tiny", FILES))])
