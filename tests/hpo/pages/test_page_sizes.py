"""The disk space of a study's pages, in its folder and in MLflow, and that their links lead to files."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpo.pages.clip_figure import MAX_COLUMNS, MAX_SPECTRUM_SAMPLES, ClipView
from hpo.pages.publish import NUM_PAGES
from hpo.pages.report import plots_page
from hpo.pages.study_figures import study_figures
from hpo.pages.trial_figures import SplitScores
from hpo.pages.trial_page import trial_page
from hpo.pages.trial_sections import TrialView
from tests.hpo.pages.toy_study import page_of, toy_study
from tests.hpo.studies import STUDY, Command

MAX_BYTES = 40_000_000
NUM_COPIES = 2
"""One in the study's folder, one in MLflow's."""


def test_pages_of_fifty_trials_stay_below_the_bound_however_long_a_clip_is() -> None:
    study = toy_study(50)
    num_samples = MAX_COLUMNS * MAX_SPECTRUM_SAMPLES // 4  # more samples do not make a larger spectrogram
    random = np.random.default_rng(0)
    clip = ClipView(
        title="", machine="", label="", condition="", waveform=random.normal(size=num_samples).astype(np.float32),
        sample_rate_hz=16_000, frame_ms=20.0, scores=random.normal(size=num_samples // 320), threshold_sigmas=1.0,
        events=(), first_frame_s=0.0,
    )  # fmt: skip
    scores = SplitScores(clip_scores=random.normal(size=500), is_anomalous=np.arange(500) % 2 == 0)
    view = TrialView(
        title="", epochs=[], best_epoch=None, validation=scores, test=scores, threshold_sigmas=1.0,
        clips=[clip, replace(clip)],
    )  # fmt: skip
    pages = [
        page_of(study),
        plots_page("toy", study_figures(study), evidence=None),
        *[trial_page(view, facts={})] * (NUM_PAGES + 1),
    ]
    assert NUM_COPIES * sum(len(page.encode()) for page in pages) < MAX_BYTES


def test_a_study_s_pages_stay_below_the_bound_and_their_links_lead_to_files(project: Path, run: Command) -> None:
    run("--trials", "2")
    runs = project / "runs"
    pages = [path for path in runs.rglob("*") if path.suffix in (".html", ".js")]
    of_trials = [path for path in pages if path.name == "page.html"]
    assert len(of_trials) == NUM_COPIES * 2
    missing = NUM_COPIES * (NUM_PAGES + 1) - len(of_trials)  # with that of the winning seed
    largest = max(path.stat().st_size for path in of_trials)
    assert sum(path.stat().st_size for path in pages) + missing * largest < MAX_BYTES
    links = {
        path.relative_to(runs / STUDY).as_posix(): re.findall(r'href="(.*?)"', path.read_text())
        for path in (runs / STUDY).rglob("*.html")
    }
    assert links["trials/0000/page.html"] == ["../../report.html"]
    assert {"winner/checkpoint.safetensors", "trials/0000/page.html", "trials/0001/page.html"} == set(
        links["report.html"]
    )
    assert all((runs / STUDY / page).parent.joinpath(link).exists() for page in links for link in links[page])
    report = (runs / STUDY / "report.html").read_text()
    assert f"detect {runs / STUDY / 'winner'} RECORDING.wav" in report
