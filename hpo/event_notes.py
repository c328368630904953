"""What a study says before it begins where its baseline does not suit the events of its recordings."""

from collections.abc import Iterator

from core.command_line import counted
from core.data.recordings import Corpus, StreamedCorpus
from core.study_files import OF_EVENTS
from hpo.search.study_spec import StudySpec


def event_notes(spec: StudySpec, corpus: Corpus | StreamedCorpus) -> Iterator[str]:
    """One line or none. Nothing about streams, which cannot be listed, and about faults that a study splices in."""
    if not isinstance(corpus, Corpus) or spec.splice or not spec.keeps_statistics:
        return
    labelled = sum(bool(recording.events) for recording in corpus.recordings)
    if labelled and not spec.seeks_changes:
        yield f"of {counted(labelled, 'recording')} the events are labelled: --study {OF_EVENTS} finds where they are"
    if not labelled and spec.seeks_changes and spec.postprocessing.baseline == "clip":
        yield "no events are labelled: clips are compared with themselves, so a fault that lasts is not found"
