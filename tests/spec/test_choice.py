from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.spec.choice import Choice, NoWeights, choose
from hardtack.spec.words import Task, WeightsKind

LISTING: dict[str, int] = json.loads(
    (Path(__file__).parent / "golden/listings/all-MiniLM-L6-v2.json").read_text(encoding="utf-8")
)
MODULES = ("", "1_Pooling", "2_Normalize")
MINILM_SMALL = {
    "1_Pooling/config.json", "config.json", "config_sentence_transformers.json", "modules.json",
    "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
}  # fmt: skip
SAFE, OV, ONNX, PICKLE = WeightsKind


def chosen(paths: object, **more: object) -> Choice:
    got = choose(paths, Task.EMBED, **more)  # type: ignore[arg-type]
    assert isinstance(got, Choice)
    return got


# ── MiniLM, whose repository holds its weights nineteen times ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        (SAFE, {"model.safetensors"}),
        (OV, {"openvino/openvino_model.xml", "openvino/openvino_model.bin"}),
        (ONNX, {"onnx/model.onnx"}),
        (PICKLE, {"pytorch_model.bin"}),
    ],
)
def test_one_set_of_minilms_weights_and_nothing_else(weights: WeightsKind, parts: set[str]) -> None:
    got = chosen(LISTING, weights=weights, modules=MODULES)
    assert got == Choice(tuple(sorted(MINILM_SMALL | parts)), weights, ())


def test_92_megabytes_of_977() -> None:
    files = chosen(LISTING, modules=MODULES).files
    assert sum(LISTING.values()) == 976_948_873
    assert sum(LISTING[path] for path in files) == 91_567_913


def test_no_modules_no_folders() -> None:
    assert "1_Pooling/config.json" not in chosen(LISTING).files


def test_files_takes_everything_but_gits_own() -> None:
    got = choose([*LISTING, "sub/.gitignore", "sub/.gitkeep.txt"], Task.FILES)
    assert isinstance(got, Choice)
    assert set(LISTING) - set(got.files) == {".gitattributes"}
    assert "sub/.gitignore" not in got.files
    assert "sub/.gitkeep.txt" in got.files
    picked = choose(LISTING, Task.FILES, exclude=["*"], include=["onnx/*"])
    assert isinstance(picked, Choice)
    assert picked.files == ()


def test_globs_cross_folders_and_exclude_goes_last() -> None:
    got = chosen(LISTING, modules=MODULES, include=["onnx/*O4*", "*.md"], exclude=["vocab.txt", "1_*"])
    assert set(got.files) == MINILM_SMALL - {"vocab.txt", "1_Pooling/config.json"} | {
        "model.safetensors", "onnx/model_O4.onnx", "README.md",
    }  # fmt: skip
    assert got.notes == ()
    assert "README.md" not in chosen(LISTING, include=["*.md"], exclude=["README*"]).files


def test_weights_that_are_excluded_are_told_of() -> None:
    got = chosen(LISTING, weights=OV, include=["openvino/*qint8*"], exclude=["openvino/openvino_model.*"])
    assert got.notes == ("`exclude` takes away openvino/openvino_model.bin, which belongs to the openvino weights",)
    assert {path for path in got.files if "openvino" in path} == {
        "openvino/openvino_model_qint8_quantized.bin", "openvino/openvino_model_qint8_quantized.xml",
    }  # fmt: skip


# ── other forms ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("weights", "parts", "rest"),
    [
        (SAFE, ["model.safetensors"], ["model.safetensors.index.json", "model-00001-of-00002.safetensors"]),
        (SAFE, ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
         ["model.fp16.safetensors", "sub/model.safetensors"]),
        (OV, ["openvino_model.xml", "openvino_model.bin"],
         ["openvino_model_int8.xml", "openvino_model_int8.bin", "openvino_tokenizer.xml", "openvino_tokenizer.bin"]),
        (OV, ["openvino/openvino_model.xml", "openvino/openvino_model.bin"],
         ["openvino_model.xml", "openvino_model.bin"]),
        (ONNX, ["onnx/model.onnx", "onnx/model.onnx_data"], ["model.onnx", "onnx/model_fp16.onnx", "model.onnx_data"]),
        (ONNX, ["model.onnx", "model.onnx.data"], ["model_quantized.onnx"]),
        (ONNX, ["onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1"], ["onnx/model.onnx_data_x"]),
        (PICKLE, ["pytorch_model.bin"], ["pytorch_model.bin.index.json", "training_args.bin", "optimizer.bin"]),
        (PICKLE, ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"], []),
    ],
)  # fmt: skip
def test_forms(weights: WeightsKind, parts: list[str], rest: list[str]) -> None:
    assert chosen([*parts, *rest, "config.json"], weights=weights).files == tuple(sorted([*parts, "config.json"]))


@pytest.mark.parametrize(
    "half",
    [
        ["openvino_model.xml"], ["openvino/openvino_model.bin"], ["model.safetensors.index.json"],
        ["model-00001-of-00002.safetensors"], ["onnx/model.onnx_data"],
        ["openvino/openvino_model.xml", "openvino_model.bin"],
    ],
)  # fmt: skip
def test_half_a_set_is_none(half: list[str]) -> None:
    assert choose([*half, "config.json"], Task.EMBED) == NoWeights(())
    whole = chosen([*half, "config.json", "model.onnx"])
    assert whole.files == ("config.json", "model.onnx")


@pytest.mark.parametrize(
    ("there", "wanted", "taken"),
    [
        ([OV, ONNX, PICKLE], SAFE, OV),
        ([ONNX, PICKLE], SAFE, ONNX),
        ([SAFE, ONNX], OV, SAFE),
        ([SAFE, OV], PICKLE, SAFE),
        ([PICKLE], PICKLE, PICKLE),
        ([PICKLE], SAFE, None),
        ([PICKLE], ONNX, None),
        ([], SAFE, None),
    ],
)
def test_what_is_taken_where_the_wanted_set_is_not_there(
    there: list[WeightsKind], wanted: WeightsKind, taken: WeightsKind | None
) -> None:
    names = {
        SAFE: ["model.safetensors"], OV: ["openvino_model.xml", "openvino_model.bin"], ONNX: ["model.onnx"],
        PICKLE: ["pytorch_model.bin"],
    }  # fmt: skip
    got = choose([name for kind in there for name in names[kind]], Task.EMBED, weights=wanted)
    if taken is None:
        assert got == NoWeights(tuple(there))
    else:
        notes = () if taken is wanted else (f"no {wanted.value} weights there: {taken.value} is taken",)
        assert got == Choice(tuple(sorted(names[taken])), taken, notes)


def test_a_modules_folder_may_hold_another_form_than_the_root() -> None:
    paths = ["onnx/model.onnx", "2_Dense/model.safetensors", "2_Dense/config.json", "2_Dense/pytorch_model.bin",
             "2_Dense_768/model.safetensors"]  # fmt: skip
    assert chosen(paths, weights=ONNX, modules=["", "2_Dense"]).files == (
        "2_Dense/config.json", "2_Dense/model.safetensors", "onnx/model.onnx",
    )  # fmt: skip
    assert choose(["model.safetensors", "2_Dense/pytorch_model.bin"], Task.EMBED, modules=["2_Dense"]) == NoWeights(
        (PICKLE,)
    )


def test_weights_in_a_modules_folder_alone() -> None:
    paths = ["0_Transformer/model.safetensors", "0_Transformer/config.json", "modules.json", "1_Pooling/config.json"]
    assert chosen(paths, modules=["0_Transformer", "1_Pooling"]).files == tuple(sorted(paths))


@pytest.mark.parametrize("module", ["1_Pooling", "1_Pooling/", "/1_Pooling", "./1_Pooling", "x/../1_Pooling"])
def test_a_modules_path_in_any_spelling(module: str) -> None:
    assert chosen(["model.safetensors", "1_Pooling/config.json"], modules=[module]).files == (
        "1_Pooling/config.json", "model.safetensors",
    )  # fmt: skip


@pytest.mark.parametrize("module", ["..", "../x", ".", "/", ""])
def test_a_modules_path_that_leads_nowhere_adds_nothing(module: str) -> None:
    assert chosen(["model.safetensors", "x/config.json"], modules=[module]).files == ("model.safetensors",)


def test_licences_come_along_and_code_only_when_it_is_asked_for() -> None:
    terms = ["LICENSE", "LICENSE.txt", "LICENCE-MIT", "NOTICE", "Notice.md", "COPYING", "USE_POLICY.md"]
    code = ["modeling_x.py", "license_check.py"]
    paths = [*terms, *code, "sub/LICENSE", "sub/x.py", "model.safetensors", "README.md", "UNLICENSE-ISH.bin"]
    assert set(chosen(paths).files) == {*terms, "model.safetensors"}
    assert set(chosen(paths, code=True).files) == {*terms, *code, "model.safetensors"}


@pytest.mark.parametrize("task", [task for task in Task if task.loads])
def test_the_task_does_not_matter_to_what_is_loaded(task: Task) -> None:
    assert choose(LISTING, task, modules=MODULES) == chosen(LISTING, modules=MODULES)


# ── any listing ──────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = [
    "model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors", "openvino_model.xml", "openvino_model.bin", "openvino/openvino_model.xml",
    "openvino/openvino_model.bin", "onnx/model.onnx", "onnx/model.onnx_data", "model.onnx", "pytorch_model.bin",
    "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json", "config.json", "tokenizer.json", "LICENSE",
    "modeling.py", "README.md", "2_Dense/config.json", "2_Dense/model.safetensors", "2_Dense/pytorch_model.bin",
    "1_Pooling/config.json", ".gitattributes",
]  # fmt: skip
GLOBS = ["*", "*.json", "onnx/*", "*.py", "model*", "2_*", "README.md", "nothing"]


@settings(max_examples=250, deadline=None)
@given(
    paths=st.sets(st.sampled_from(NAMES)),
    task=st.sampled_from(Task),
    weights=st.sampled_from(WeightsKind),
    modules=st.sets(st.sampled_from(["", "1_Pooling", "2_Dense", "3_Gone"])),
    include=st.lists(st.sampled_from(GLOBS), max_size=2),
    exclude=st.lists(st.sampled_from(GLOBS), max_size=2),
    code=st.booleans(),
    chance=st.randoms(use_true_random=False),
)
def test_choosing(
    paths: set[str], task: Task, weights: WeightsKind, modules: set[str], include: list[str], exclude: list[str],
    code: bool, chance: random.Random,
) -> None:  # fmt: skip
    def again(given: list[str], globs: list[str]) -> Choice | NoWeights:
        return choose(given, task, weights=weights, modules=sorted(modules), include=globs, exclude=exclude, code=code)

    got = again(sorted(paths), include)
    assert again(chance.sample(sorted(paths), len(paths)), include[::-1]) == got
    if isinstance(got, NoWeights):
        assert not any(kind is not PICKLE for kind in got.there)
        return
    assert set(got.files) <= paths
    assert list(got.files) == sorted(got.files)
    assert (got.weights is PICKLE) <= (weights is PICKLE)
    if not any(note.startswith("`exclude`") for note in got.notes):
        assert again(list(got.files), include) == got


# ── what the Hub really holds ────────────────────────────────────────────────────────────────────────────────────────

GOLDEN: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent / "golden/listings/chosen.json").read_text(encoding="utf-8")
)


def listings(real_dir: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Of each real repository its paths and its modules' folders."""
    found = {}
    for folder in sorted((real_dir / "hub-meta").glob("*--*")):
        manifest = json.loads((folder / "_manifest.json").read_text(encoding="utf-8"))
        names = folder / "modules.json"
        modules = [module["path"] for module in json.loads(names.read_text(encoding="utf-8"))] if names.exists() else []
        found[manifest["repo_id"].split(" ")[0]] = ([file["path"] for file in manifest["files"]], modules)
    pages = json.loads((real_dir / "hub-meta/listings-from-pages.json").read_text(encoding="utf-8"))
    for repo, page in pages.items():
        if "see" not in page["files"]:
            found[repo] = (list(page["files"]), list(MODULES) if "modules.json" in page["files"] else [])
    return found


@pytest.mark.real
def test_real_listings(real_dir: Path) -> None:
    got = {}
    for repo, (paths, modules) in listings(real_dir).items():
        got[repo] = {
            kind.value: summary(choose(paths, Task.EMBED, weights=kind, modules=modules)) for kind in WeightsKind
        }
    assert got == GOLDEN


def summary(got: Choice | NoWeights) -> list[str]:
    if isinstance(got, NoWeights):
        return ["no weights but", *(kind.value for kind in got.there)]
    return [got.weights.value, *got.files]


@pytest.mark.real
def test_choosing_again_from_what_was_chosen_of_real_listings(real_dir: Path) -> None:
    for paths, modules in listings(real_dir).values():
        for kind in WeightsKind:
            got = choose(paths, Task.EMBED, weights=kind, modules=modules)
            if isinstance(got, Choice):
                again = choose(got.files, Task.EMBED, weights=kind, modules=modules)
                assert again == got


def test_the_golden_table_says_what_it_should() -> None:
    """The points of the table that a person should look at, whether or not the real listings are here."""
    assert GOLDEN["moka-ai/m3e-small"]["safetensors"] == ["no weights but", "pickle"]
    stella = GOLDEN["dunzhang/stella_en_1.5B_v5"]["safetensors"]
    assert [path for path in stella if "Dense" in path] == [
        "2_Dense_1024/config.json",
        "2_Dense_1024/model.safetensors",
    ]
    assert not [path for path in stella if path.endswith(".py")]
    assert GOLDEN["Xenova/all-MiniLM-L6-v2"]["safetensors"][:3] == ["onnx", "config.json", "onnx/model.onnx"]
    assert "spiece.model" in GOLDEN["google/flan-t5-large"]["safetensors"]
    assert "spiece.model" in GOLDEN["google/flan-t5-small"]["safetensors"]
    assert "onnx/model.onnx_data" in GOLDEN["BAAI/bge-reranker-large"]["onnx"]
    assert "sentence_xlm-roberta_config.json" in GOLDEN["intfloat/multilingual-e5-large-instruct"]["safetensors"]
    assert "2_Pooling/config.json" in GOLDEN["avsolatorio/NoInstruct-small-Embedding-v0"]["safetensors"]
    assert "model.onnx" in GOLDEN["intfloat/e5-small-v2"]["onnx"]
    assert "LICENSE" in GOLDEN["sbintuitions/sarashina-embedding-v1-1b"]["safetensors"]
    assert [path for path in GOLDEN["OpenVINO/bge-reranker-base-int8-ov"]["safetensors"] if "_model" in path] == [
        "openvino_model.bin", "openvino_model.xml",
    ]  # fmt: skip
    for repo, kinds in GOLDEN.items():
        for kind, (taken, *files) in kinds.items():
            marks = (".safetensors", ".xml", ".onnx", "pytorch_model.bin")
            at_root = [path for path in files if path.endswith(marks) and "Dense" not in path]
            assert len(at_root) == (taken != "no weights but"), (repo, kind)
