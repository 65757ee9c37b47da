"""The command line: one file a verb; each parses, calls the project or the room it needs, and prints.

Data goes to stdout, talk to stderr. Exit 0 good, 1 the answer is no, 2 misused, 3 could not.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from hardtack import __version__
from hardtack.cli.output import print_error
from hardtack.errors import HardtackError

VERBS = {
    "init": "start a manifest",
    "add": "put a model into the manifest",
    "remove": "take a model out of the manifest",
    "lock": "find out what the manifest is, to the byte",
    "pull": "fetch what the lock names, and verify it",
    "build": "find out what each model runs in: int8 where it pays and keeps to its gate",
    "bake": "lay the locked models out as a pantry",
    "prove": "load and run a pantry where the kernel allows no network",
    "verify": "compare files with the lock, without a network",
    "list": "what is locked: models, sizes, licences",
    "pack": "the locked models as one file, to be carried",
    "unpack": "such a file into the store, verified",
    "sbom": "a bill of materials of what is locked, in CycloneDX",
    "sign": "vouch for a lock, an archive or a pantry with your key",
    "run": "any program, with no network and the models in place",
    "diff": "what differs between two locks, and whether vectors still fit",
    "cache": "what lies in the store, and who keeps it; prune and move",
    "doctor": "what is here, what it decides, and what mends it",
    "embed": "vectors of texts",
    "rerank": "documents by how well they answer a query",
    "classify": "labels of texts",
    "serve": "models over HTTP, in the dialects that clients speak",
    "bench": "what the locked models cost and give on this machine",
    "mirror": "serve what is locked as a read-only Hub",
    "scaffold": "files for docker, compose, kubernetes or ci, which are then yours",
    "demo": "all of it, in a minute, with no network",
}
"""Verb → what it does, in the order of use; each is a module of this package."""


class _Verbs(click.Group):
    """Imports a verb's module only when the verb is wanted: starting up must cost nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*VERBS]  # not list(): once the verb `list` is imported, that name is its module here

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"hardtack.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # click would import every verb for its one line of help
        with formatter.section("Verbs"):
            formatter.write_dl([*VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hardtack")
def cli() -> None:
    """Ship's biscuit for models: lock, bake and run them, with no network and no torch."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments  # the rest is another program's
    as_json = "--json" in own
    try:
        code = cli.main(args=arguments, prog_name="hardtack", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except HardtackError as problem:
        print_error(problem, as_json=as_json)
        return problem.exit_code
    except click.ClickException as problem:
        problem.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 130
    except BrokenPipeError:
        # whoever read our stdout has gone (`| head`); that is no error, but the interpreter must not flush into it
        sys.stdout = None
        return 0
