"""The options by which verbs are told whose signature to ask for: ``--trust`` and ``--signature``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hardtack.trust.sign import Trusted

F = TypeVar("F", bound=Callable[..., Any])


def trusting(command: F) -> F:
    """The options ``keys`` and ``signature``."""
    file = click.Path(path_type=Path, dir_okay=False)
    command = click.option(
        "--signature", type=file, metavar="SIG", help="The signature. Default: the file beside it that ends in .sig."
    )(command)
    return click.option(
        "--trust", "keys", multiple=True, type=file, metavar="KEY.pub",
        help="A public key, one of which must have signed it (`hardtack sign`). May be repeated.",
    )(command)  # fmt: skip


def trusted(keys: tuple[Path, ...], signature: Path | None, default: Path) -> Trusted | None:
    """The signature and the keys that were given, read now; None where there were no keys.

    Args:
        keys: the option.
        signature: the option.
        default: the signature's file where none was named.

    Raises:
        HardtackError: see :meth:`~hardtack.trust.sign.Trusted.read`.
    """
    if keys:
        return Trusted.read(keys, signature or default)
    if signature:
        raise click.UsageError("--signature only goes with --trust")
    return None
