"""The name of an image in a registry: ``HOST[:PORT]/NAME[:TAG][@sha256:…]``.

A host is always named, or it is the default registry of every container tool; plain http is for loopback alone.
Grammar: https://github.com/distribution/reference/blob/v0.6.0/reference.go
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

from hardtack.errors import Misused

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_DEFAULT = "docker.io"


@dataclass(frozen=True)
class Reference:
    """An image's name, taken apart.

    Attributes:
        host: with its port, if one is named.
        name: the repository.
        tag: or empty.
        digest: ``sha256:…`` or empty.
    """

    host: str
    name: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a name apart as container tools do.

        Raises:
            Misused: it is none.
        """
        rest, at, digest = text.partition("@")
        head, slash, tail = rest.partition("/")
        if slash and (head == "localhost" or "." in head or ":" in head):
            host, rest = head, tail
        else:
            host = _DEFAULT
        name, colon, tag = rest.partition(":")
        if host == _DEFAULT and "/" not in name:
            name = f"library/{name}"
        good = _NAME.match(name) and _HOST.match(host) and (not colon or _TAG.match(tag))
        if not good or (at and not _DIGEST.match(digest)):
            raise Misused(
                "this is not the name of an image", where=text, expected="HOST[:PORT]/NAME[:TAG][@sha256:…]",
                found=text, mend="hardtack bake --oci OUT -t registry.example.org/models:1",
            )  # fmt: skip
        return cls(host, name, tag, digest)

    @property
    def origin(self) -> str:
        """Scheme and host of the registry's API."""
        if self.host == _DEFAULT:
            return "https://registry-1.docker.io"
        return f"{'http' if is_loopback(self.host) else 'https'}://{self.host}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.name}{tag}{'@' + self.digest if self.digest else ''}"


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine."""
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"
