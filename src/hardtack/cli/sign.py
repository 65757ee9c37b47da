"""``hardtack sign``: vouch for a lock, and so for an archive or a pantry, with a key of your own."""

from __future__ import annotations

from pathlib import Path

import click

from hardtack.cli.lock_of import lock_text_of, path_of
from hardtack.cli.output import Talk, print_json, reporting
from hardtack.spec.text_file import write_atomically
from hardtack.trust.keys import PublicKey, read_private
from hardtack.trust.sign import beside, sign


@click.command("sign")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--key", "-k", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="Your private key: Ed25519, as `ssh-keygen -t ed25519` makes it.")  # fmt: skip
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), metavar="SIG",
              help="Where to write the signature. Default: beside what is signed, as FILE.sig.")  # fmt: skip
@reporting
def command(file: Path | None, key: Path, output: Path | None, as_json: bool, quiet: bool) -> None:
    """Sign FILE: a lock, an archive of `hardtack pack`, or a pantry. Default: the project's lock.

    What is signed is the lock, also of an archive or a pantry: it decides every byte of them. `hardtack unpack --trust`
    and `hardtack verify --trust` take the public key. The signature is OpenSSH's, in the namespace `hardtack`:
    `ssh-keygen -Y sign` makes the same, with an agent if need be, and `ssh-keygen -Y verify` checks it.
    """
    path = path_of(file)
    text = lock_text_of(path)  # nothing else is ever signed
    private = read_private(key)
    target = output or beside(path)
    write_atomically(target, sign(text, private))
    public = PublicKey(private.public_key().public_bytes_raw())
    if as_json:
        print_json({"signed": str(path), "signature": str(target), "key": public.fingerprint})
        return
    Talk(quiet=quiet).say(f"{path}: signed by {public.fingerprint}")
    click.echo(target)
