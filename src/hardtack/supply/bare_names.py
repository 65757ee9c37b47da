"""Names without a namespace, as sentence-transformers understands them.

Its classes put their own namespace before a bare name, unless it is one of the models that lay without a namespace on
the Hub before namespaces came (``sentence_transformers.util.misc.ORIGINAL_TRANSFORMER_MODELS``, 6.2); a test compares
this table with the installed one. The Hub itself redirects those to where they are today.
"""

from __future__ import annotations

from hardtack.spec.words import Task

# SentenceTransformer.default_huggingface_organization, CrossEncoder.default_huggingface_organization
_NAMESPACES = {Task.EMBED: "sentence-transformers", Task.RERANK: "cross-encoder"}
ORIGINAL = frozenset({
    "albert-base-v1", "albert-base-v2", "albert-large-v1", "albert-large-v2", "albert-xlarge-v1",
    "albert-xlarge-v2", "albert-xxlarge-v1", "albert-xxlarge-v2", "bert-base-cased",
    "bert-base-cased-finetuned-mrpc", "bert-base-chinese", "bert-base-german-cased", "bert-base-german-dbmdz-cased",
    "bert-base-german-dbmdz-uncased", "bert-base-multilingual-cased", "bert-base-multilingual-uncased",
    "bert-base-uncased", "bert-large-cased", "bert-large-cased-whole-word-masking",
    "bert-large-cased-whole-word-masking-finetuned-squad", "bert-large-uncased",
    "bert-large-uncased-whole-word-masking", "bert-large-uncased-whole-word-masking-finetuned-squad",
    "camembert-base", "ctrl", "distilbert-base-cased", "distilbert-base-cased-distilled-squad",
    "distilbert-base-german-cased", "distilbert-base-multilingual-cased", "distilbert-base-uncased",
    "distilbert-base-uncased-distilled-squad", "distilbert-base-uncased-finetuned-sst-2-english", "distilgpt2",
    "distilroberta-base", "gpt2", "gpt2-large", "gpt2-medium", "gpt2-xl", "openai-gpt", "roberta-base",
    "roberta-base-openai-detector", "roberta-large", "roberta-large-mnli", "roberta-large-openai-detector",
    "t5-11b", "t5-3b", "t5-base", "t5-large", "t5-small", "transfo-xl-wt103", "xlm-clm-ende-1024",
    "xlm-clm-enfr-1024", "xlm-mlm-100-1280", "xlm-mlm-17-1280", "xlm-mlm-en-2048", "xlm-mlm-ende-1024",
    "xlm-mlm-enfr-1024", "xlm-mlm-enro-1024", "xlm-mlm-tlm-xnli15-1024", "xlm-mlm-xnli15-1024", "xlm-roberta-base",
    "xlm-roberta-large", "xlm-roberta-large-finetuned-conll02-dutch", "xlm-roberta-large-finetuned-conll02-spanish",
    "xlm-roberta-large-finetuned-conll03-english", "xlm-roberta-large-finetuned-conll03-german", "xlnet-base-cased",
    "xlnet-large-cased",
})  # fmt: skip


def full_name(repo: str, task: Task) -> str:
    """The repository that a name means for a task; a name with a namespace is itself."""
    namespace = _NAMESPACES.get(task)
    return repo if "/" in repo or namespace is None or repo.lower() in ORIGINAL else f"{namespace}/{repo}"
