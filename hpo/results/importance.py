"""Which parameters mattered, by two evaluators that ask different questions, and how many trials that rests on."""

import math

import numpy as np
import optuna
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial, TrialState

MIN_TRIALS_FOR_IMPORTANCE = 30
"""With fewer complete trials the importances change visibly from one study to the next."""
BEST_SHARE = 0.1
"""PED-ANOVA compares so many of the trials, the best, with all of them."""
MAX_FANOVA_TRIALS = 256
"""fANOVA's time grows with the square of the trials (8 s for 500, 97 s for 2,000); of more it sees a sample."""


def finite_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that importance is computed from: complete, with a finite value."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [t for t in trials if t.value is not None and math.isfinite(t.value)]


def importance_obstacle(study: optuna.Study) -> str | None:
    """Why importances cannot be computed; None when they can. Optuna itself would print equal shares, or raise."""
    trials = finite_trials(study)
    if len(trials) < 2:
        return f"Importance needs at least 2 complete trials, and there {_are(len(trials))}."
    if len({t.value for t in trials}) == 1:
        return f"All {len(trials)} complete trials have the same validation F1, so no parameter can be said to matter."
    if not any(len({str(t.params.get(name)) for t in trials}) > 1 for name in trials[0].params):
        return "No parameter varied between the complete trials."
    return None


def importance_warning(study: optuna.Study) -> str | None:
    """What to keep in mind when there are few complete trials; None from MIN_TRIALS_FOR_IMPORTANCE on."""
    num_trials = len(finite_trials(study))
    if num_trials >= MIN_TRIALS_FOR_IMPORTANCE:
        return None
    return (
        f"Only {num_trials} complete trials: importances of so few are mostly noise. With fewer than "
        f"{MIN_TRIALS_FOR_IMPORTANCE} the order of the parameters is a guess, and another seed may turn it round."
    )


def importance_words(study: optuna.Study, *, noun: str = "trial") -> str:
    """What the two evaluators ask, and of how many trials, or whatever the study's trials stand for."""
    num_trials, num_best = len(finite_trials(study)), _num_best(study)
    share = f"the best tenth ({num_best} {noun}{'s' if num_best > 1 else ''}{_tie_words(num_best, num_trials)})"
    sample = f" (of a sample of {MAX_FANOVA_TRIALS} of them)" if num_trials > MAX_FANOVA_TRIALS else ""
    return (
        f"PED-ANOVA asks what sets {share} apart from all {num_trials}; fANOVA{sample} asks how much of the spread of "
        "F1 each parameter explains alone, pairs of them left out. The shares of each add up to 1. A parameter on "
        "which the two disagree has not been shown to matter."
    )


def _tie_words(num_best: int, num_trials: int) -> str:
    return ", for some have the same F1" if num_best > math.ceil(BEST_SHARE * num_trials) else ""


def _num_best(study: optuna.Study) -> int:
    """As PED-ANOVA counts them: a tenth, rounded up, and whatever equals the last of it."""
    values = sorted((t.value for t in finite_trials(study) if t.value is not None), reverse=True)
    cutoff = values[math.ceil(BEST_SHARE * len(values)) - 1]
    return sum(value >= cutoff for value in values)


def importance_title(study: optuna.Study) -> str:
    num_trials = len(finite_trials(study))
    return f"Parameter importance ({num_trials} complete trial{'s' if num_trials != 1 else ''})"


def _are(count: int) -> str:
    return {0: "are none", 1: "is 1"}.get(count, f"are {count}")


def importance_shares(study: optuna.Study) -> dict[str, dict[str, float]]:
    """By evaluator, each parameter's share, which add up to 1. Only where there is no obstacle."""
    # The forest's seed is fixed, so that a report that is made again is the same. Trials with an infinite value are
    # dropped by Optuna itself.
    evaluators: dict[str, tuple[BaseImportanceEvaluator, optuna.Study]] = {
        "PED-ANOVA": (PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE), study),
        "fANOVA": (FanovaImportanceEvaluator(seed=0), _fanova_sample(study)),
    }
    return {
        name: {parameter: float(share) for parameter, share in get_param_importances(of, evaluator=one).items()}
        for name, (one, of) in evaluators.items()
    }


def _fanova_sample(study: optuna.Study) -> optuna.Study:
    """The study, or where it is too large a copy in memory with some of its trials, best and worst among them."""
    trials = finite_trials(study)
    if len(trials) <= MAX_FANOVA_TRIALS:
        return study
    values = np.array([t.value for t in trials], float)
    ends = {int(values.argmax()), int(values.argmin())}
    order = [int(index) for index in np.random.default_rng(0).permutation(len(trials)) if int(index) not in ends]
    chosen = sorted([*ends, *order[: MAX_FANOVA_TRIALS - len(ends)]])
    sample = optuna.create_study(direction=study.direction)
    sample.add_trials([trials[index] for index in chosen])
    return sample
