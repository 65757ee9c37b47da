"""Who asks a registry: what `docker login` left, and how a registry asks for it.

Credential helpers are programs of their own and are not run: a machine that uses one logs in with a token of its own
(``DOCKER_CONFIG`` points at the file).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Credentials:
    """A name and its password; the password is not shown."""

    name: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Challenge:
    """A ``WWW-Authenticate`` header: its scheme in small letters, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> Self:
        """Take one apart; RFC 9110, section 11.6.1."""
        scheme, _, rest = header.strip().partition(" ")
        return cls(scheme.lower(), dict(_PARAMETER.findall(rest)))


def docker_credentials(host: str, environ: Mapping[str, str] | None = None) -> Credentials | None:
    """What ``config.json`` of the docker client has for a host; None where it has nothing that can be used."""
    env = os.environ if environ is None else environ
    folder = Path(env["DOCKER_CONFIG"]) if env.get("DOCKER_CONFIG") else Path(env.get("HOME", "/")) / ".docker"
    names = [host, f"https://{host}", f"https://{host}/v1/"]
    if host == "docker.io":
        names.append("https://index.docker.io/v1/")
    try:
        rows = json.loads((folder / "config.json").read_bytes()).get("auths", {})
        for name in names:
            if auth := rows.get(name, {}).get("auth"):
                user, colon, password = base64.b64decode(auth).decode().partition(":")
                return Credentials(user, password) if colon else None
    except (OSError, ValueError, AttributeError, binascii.Error):
        return None
    return None
