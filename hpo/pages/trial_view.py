"""What a trial's page shows, read from the files that the trial left."""

import numpy as np
import optuna

from core.data.clips import ClipSet
from core.decision.postprocess import events
from core.decision.statistic import Judgement
from hpo.pages.clip_figure import ClipView
from hpo.pages.trial_figures import SplitScores
from hpo.pages.trial_sections import TrialView
from hpo.results.judged_trial import JudgedTrial, judge_trial
from hpo.results.whiteness import WhitenessOfTrials
from hpo.search.study import OpenStudy
from hpo.search.trial_record import TrialRecord


def trial_view(search: OpenStudy, innovations: WhitenessOfTrials, frozen: optuna.trial.FrozenTrial) -> TrialView:
    """UserError where the trial's files are not on this machine."""
    record = TrialRecord.of(frozen)
    directory = search.trial_directory(record.number)
    trial = judge_trial(directory)
    dataset = innovations.files.datasets.at(trial.detector.front_end.config.read_rate_hz)
    return TrialView(
        title=f"{search.study.study_name}, {search.run_name_of(frozen)}",
        epochs=record.epochs,
        best_epoch=record.facts.get("best_epoch"),
        validation=_split_scores(trial, "validation"),
        test=_split_scores(trial, "test"),
        threshold_sigmas=trial.threshold,
        clips=_typical_clips(trial, dataset.validation),
        stand_ins=trial.detector.stand_ins,
        whiteness=innovations.of(directory),
        microphones=trial.detector.microphones,
    )


def _split_scores(trial: JudgedTrial, split: str) -> SplitScores:
    return SplitScores(clip_scores=trial.judged[split].clip_scores, is_anomalous=trial.scored[split].is_anomalous)


def _typical_clips(trial: JudgedTrial, clips: ClipSet) -> list[ClipView]:
    """The normal and the anomalous validation clip with the median score of their label."""
    judged = trial.judged["validation"]
    views = []
    for label, rows in (("normal", ~clips.is_anomalous), ("anomalous", clips.is_anomalous)):
        indices = np.flatnonzero(rows)
        median = indices[np.argsort(judged.clip_scores[indices], kind="stable")[len(indices) // 2]]
        views.append(_clip_view(trial, judged, clips, int(median), label))
    return views


def _clip_view(trial: JudgedTrial, judged: Judgement, clips: ClipSet, index: int, label: str) -> ClipView:
    config = trial.detector.front_end.config
    frame_s = trial.detector.scoring.frame_samples(config.sample_rate_hz) / config.sample_rate_hz
    first_frame_s = trial.detector.context_samples / config.sample_rate_hz
    found = [(event, judged.channel_of(index, event)) for event in events(judged.thresholds[index], trial.threshold)]
    channel = found[0][1] if found else 0
    return ClipView(
        title=f"A typical {label} clip: {clips.recording_ids[index]} from {clips.starts_s[index]:.1f} s",
        machine=clips.machines[index],
        label=label,
        condition=clips.conditions[index],
        waveform=clips.waveforms[index, channel],
        sample_rate_hz=config.read_rate_hz,
        frame_ms=1000 * frame_s,
        scores=judged.sigmas[index],
        threshold_sigmas=trial.threshold,
        events=tuple(
            (
                first_frame_s + event.first_frame * frame_s,
                first_frame_s + event.end_frame * frame_s,
                trial.detector.microphones[loudest],
            )
            for event, loudest in found
        ),
        first_frame_s=first_frame_s,
        labelled=clips.events[index] if clips.events is not None else None,
    )
