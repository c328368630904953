"""Opens the recordings of a benchmark that needs all of them listed."""

from collections.abc import Mapping

from core.data.recordings import Corpus
from core.sources import NO_OPTIONS, open_source


def open_corpus(spec: str, *, options: Mapping[str, object] = NO_OPTIONS) -> Corpus:
    """As `open_source`, but not a stream."""
    corpus = open_source(spec, options=options)
    assert isinstance(corpus, Corpus), f"the benchmark needs recordings that can be listed, but {spec} is a stream"
    return corpus
