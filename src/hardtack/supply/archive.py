"""What an archive is: a lock, and the files that it names, in one plain tar.

Format, version 1::

    hardtack.lock                                       the chosen models' lock, as `hardtack lock` writes it
    builds/BUILD/…                                      what was built of a model, if the lock names builds
    local/DIR/…                                         models that lie beside the lock: repo = "./DIR"
    models--namespace--name/snapshots/COMMIT/…          models of the Hub, and the code they reach: the standard cache

Everything after the lock is sorted by name, each name once, in the form of :mod:`~hardtack.supply.archive_tar`; nothing
is compressed, since weights do not compress. So the lock decides every byte of the archive, and **the SHA-256 of the
lock stands for the whole**: it is what `pack` prints and ``--expect`` takes, it is known before the first file is
read, and ``tar xOf FILE hardtack.lock | sha256sum`` reproduces it.

Here are names and values only. An archive can also be read without hardtack: ``tar x`` lays out a Hub cache of ordinary
files, and the lock to check them by. It cannot vouch for itself; who may is :class:`Trust`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from hardtack.errors import LockError, Mismatch, Misused, Refused, Unverified
from hardtack.places import Store
from hardtack.spec.digest import hash_bytes
from hardtack.spec.lock import LOCK_NAME, Lock, LockedFile, LockedModel
from hardtack.spec.names import UnsafeName, distinct_paths, safe_path
from hardtack.supply.pull import chosen

_BESIDE_A_MODEL = "hardtack/"  # where a pantry keeps a model's builds, in the model's own folder
_DIGEST_LENGTH = len("sha256:") + 64


class Kind(StrEnum):
    """Where a file of an archive belongs."""

    HUB = "hub"  # into the standard cache
    LOCAL = "local"  # beside the lock
    BUILD = "build"  # into hardtack's own folder


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive.

    Attributes:
        name: its name there.
        file: its line in the lock; a build's with its path from the folder of builds instead of from the model's.
        kind: where it belongs.
        repo, commit: the repository; or ``./dir`` and no commit; or neither, of a build.
    """

    name: str
    file: LockedFile
    kind: Kind
    repo: str
    commit: str = ""

    def directory(self, store: Store, folder: Path) -> Path:
        """The directory that ``file.path`` is relative to, on this machine.

        Args:
            store: the store.
            folder: the lock's.
        """
        match self.kind:
            case Kind.HUB:
                return store.snapshot(self.repo, self.commit)
            case Kind.LOCAL:
                return folder / self.repo
            case Kind.BUILD:
                return store.builds


@dataclass(frozen=True, slots=True)
class Trust:
    """Who vouches for an archive.

    Attributes:
        lock: the project's own lock, if there is one.
        expect: the digest that `pack` printed, as the user brought it here; or empty.
        signed: given the archive's lock, says which trusted key signed it, in words, or raises; None where the user
            gave no key.
        anyway: the user takes the archive's own word, whatever the lock says.
    """

    lock: Lock | None = None
    expect: str = ""
    anyway: bool = False
    signed: Callable[[bytes], str] | None = None

    def __post_init__(self) -> None:
        if self.expect and not (self.expect.startswith("sha256:") and len(self.expect) == _DIGEST_LENGTH):
            raise Misused(
                "this is no digest", where="--expect", expected="sha256: and 64 hexadecimal digits",
                found=self.expect, mend="hardtack pack -o FILE  # prints it",
            )  # fmt: skip


def archive_lock(lock: Lock, select: Iterable[str] = ()) -> Lock:
    """The lock that goes into an archive: the chosen models only, without what `bake` added to a pantry."""
    names = tuple(select)
    keys = {model.key for model in chosen(lock, names)}
    models = (replace(model, added=()) for model in lock.models if model.key in keys or not names)
    return replace(lock, models=tuple(models))


def entries_of(lock: Lock) -> tuple[Entry, ...]:
    """Every file that the archive of a lock holds after the lock itself, in its order.

    Raises:
        LockError: two models disagree about a file, or could not lie on one disk.
        Refused: a local model lies outside of the lock's folder, or where other tools keep their own.
    """
    entries: dict[str, Entry] = {}
    for model in lock.models:
        for entry in _entries(model):
            if entries.setdefault(entry.name, entry) != entry:
                raise _clash(entry.name, "two models have different hashes for it", lock)
    try:
        return tuple(entries[name] for name in distinct_paths(entries))
    except UnsafeName as why:
        raise _clash(LOCK_NAME, str(why), lock) from None


def digest_of(lock_text: bytes) -> str:
    """The digest that stands for an archive: of its lock's text."""
    return "sha256:" + hash_bytes(lock_text).sha256


def vouch(archived: Lock, text: bytes, trust: Trust) -> str:
    """Who vouches for an archive, in words.

    A key and a digest that were given must hold. The project's lock must, too, unless a digest says which archive is
    meant, or the user takes its own word: a key alone says whose it is, and an older one is signed as well.

    Args:
        archived: the archive's lock.
        text: its very bytes.
        trust: who may vouch.

    Raises:
        Untrusted: no trusted key signed it.
        Mismatch: it is not the expected one, or has what the project's lock does not name.
        Unverified: nobody does.
    """
    digest = digest_of(text)
    vouching = [] if trust.signed is None else [trust.signed(text)]
    if trust.expect:
        if digest != trust.expect:
            raise Mismatch(
                "this is not the archive that was expected", where=LOCK_NAME, expected=trust.expect, found=digest,
                mend="hardtack pack -o FILE  # where it came from; it prints the digest",
            )  # fmt: skip
        vouching.append("the digest given with --expect")
    elif trust.lock is not None and not (strange := _not_named(archived, trust.lock)):
        vouching.append(f"the project's lock, {trust.lock.name}")
    elif trust.anyway:
        vouching = vouching or ["nobody but itself, by --anyway"]
    elif trust.lock is not None:
        raise Mismatch(
            f"the archive has {len(strange)} files that the project's lock does not name so", where=strange[0].name,
            expected=f"what {trust.lock.name} names", found=f"sha256 {strange[0].file.sha256}",
            mend=f"hardtack unpack FILE --expect {digest}  # if that is what `pack` printed",
        )  # fmt: skip
    elif not vouching:
        raise Unverified(
            "the archive vouches only for itself, and there is no lock here to hold it to", where=LOCK_NAME,
            expected="a project's lock, --trust with the public key of who signed it, or --expect with the digest that "
            "`pack` printed", found=digest,
            mend=f"hardtack unpack FILE --expect {digest}  # if that is what `pack` printed",
        )  # fmt: skip
    return " and ".join(vouching)


def _not_named(archived: Lock, ours: Lock) -> list[Entry]:
    known = {(entry.name, entry.file.size, entry.file.sha256) for entry in entries_of(ours)}
    return [each for each in entries_of(archived) if (each.name, each.file.size, each.file.sha256) not in known]


def _entries(model: LockedModel) -> Iterable[Entry]:
    for build in model.builds:
        for file in build.files:
            path = file.path.removeprefix(_BESIDE_A_MODEL)
            yield Entry(f"builds/{path}", replace(file, path=path), Kind.BUILD, "")
    if model.source == "local":
        folder = _local_folder(model)
        for file in model.files:
            if any(part.startswith(".") for part in file.path.split("/")):
                raise _outside(model, file.path)
            yield Entry(f"local/{folder}/{file.path}", file, Kind.LOCAL, model.repo)
    elif model.source == "hub":
        for repo, commit, files in ((model.repo, model.commit, model.files), *_code(model)):
            root = f"models--{repo.replace('/', '--')}/snapshots/{commit}"
            for file in files:
                yield Entry(f"{root}/{file.path}", file, Kind.HUB, repo, commit)


def _code(model: LockedModel) -> tuple[tuple[str, str, tuple[LockedFile, ...]], ...]:
    return tuple((code.repo, code.commit, code.files) for code in model.code)


def _local_folder(model: LockedModel) -> str:
    """``./dir`` as a plain path. Names with a leading dot belong to other tools: an archive must not reach them."""
    folder = model.repo.removeprefix("./").rstrip("/")
    try:
        safe_path(folder)
    except UnsafeName as why:
        raise _outside(model, str(why)) from None
    if any(part.startswith(".") for part in folder.split("/")):
        raise _outside(model, folder)
    return folder


def _outside(model: LockedModel, found: str) -> Refused:
    return Refused(
        "a local model can be carried only from a plain folder below the lock's", where=f"{model.key}: {model.repo}",
        expected="./dir, and no name that begins with a dot", found=found, mend=f"hardtack remove {model.key}",
    )  # fmt: skip


def _clash(name: str, why: str, lock: Lock) -> LockError:
    return LockError(
        "the files of this lock cannot lie in one archive", where=f"{lock.name}: {name}", expected="distinct names",
        found=why, mend="hardtack lock",
    )  # fmt: skip
