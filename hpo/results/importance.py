"""Parameter importances by two evaluators that ask different questions, and how far to trust them."""

import math

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

MIN_TRIALS_FOR_IMPORTANCE = 30
"""With fewer complete trials, importances differ visibly between studies with different seeds."""
BEST_SHARE = 0.1
"""PED-ANOVA compares this share of the trials, the best ones, with all of them."""
LEAST_SPREAD = 1e-6
"""Of the objective. Below about 1e-7 the trees of fANOVA find no variance in few trials, and raise."""
MAX_FANOVA_TRIALS = 256
"""fANOVA's time grows with the square of the trials (8 s for 500, 97 s for 2,000). Of more trials it gets a sample."""


def finite_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials with a finite value, from which importance is computed."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [t for t in trials if t.value is not None and math.isfinite(t.value)]


def importance_obstacle(study: optuna.Study) -> str | None:
    """Why importances cannot be computed; None when they can. Optuna alone would return equal shares, or raise."""
    trials = finite_trials(study)
    if len(trials) < 2:
        return f"Importance needs at least 2 complete trials, and there {_are(len(trials))}."
    if np.ptp([t.value for t in trials]) < LEAST_SPREAD:
        return f"All {len(trials)} complete trials have the same objective, so no parameter can be said to matter."
    if not any(len({str(t.params.get(name)) for t in trials}) > 1 for name in trials[0].params):
        return "No parameter varied between the complete trials."
    return None


def importance_warning(study: optuna.Study) -> str | None:
    """A warning about few complete trials; None from MIN_TRIALS_FOR_IMPORTANCE on."""
    num_trials = len(finite_trials(study))
    if num_trials >= MIN_TRIALS_FOR_IMPORTANCE:
        return None
    return (
        f"Only {num_trials} complete trials: importances of so few are mostly noise. With fewer than "
        f"{MIN_TRIALS_FOR_IMPORTANCE} the order of the parameters is a guess, and another seed may reverse it."
    )


def importance_words(study: optuna.Study, *, noun: str = "trial") -> str:
    """What the two evaluators measure, and from how many trials. `noun` names what a trial of the study is."""
    num_trials, num_best = len(finite_trials(study)), _num_best(study)
    share = f"the best tenth ({num_best} {noun}{'s' if num_best > 1 else ''}{_tie_words(num_best, num_trials)})"
    sample = f" (of a sample of {MAX_FANOVA_TRIALS} of them)" if num_trials > MAX_FANOVA_TRIALS else ""
    return (
        f"PED-ANOVA asks what sets {share} apart from all {num_trials}; fANOVA{sample} asks how much of the spread of "
        "the objective each parameter explains alone, without pairs of parameters. The shares of each add up to 1. A "
        "difference between the two means that the importance of the parameter is uncertain."
    )


def _tie_words(num_best: int, num_trials: int) -> str:
    return ", because some have the same value" if num_best > math.ceil(BEST_SHARE * num_trials) else ""


def _num_best(study: optuna.Study) -> int:
    """As PED-ANOVA counts them: a tenth, rounded up, and all trials that equal the last of it."""
    values = sorted((t.value for t in finite_trials(study) if t.value is not None), reverse=True)
    cutoff = values[math.ceil(BEST_SHARE * len(values)) - 1]
    return sum(value >= cutoff for value in values)


def importance_title(study: optuna.Study) -> str:
    num_trials = len(finite_trials(study))
    return f"Parameter importance ({num_trials} complete trial{'s' if num_trials != 1 else ''})"


def _are(count: int) -> str:
    return {0: "are none", 1: "is 1"}.get(count, f"are {count}")


def importance_shares(study: optuna.Study) -> dict[str, dict[str, float]]:
    """Each parameter's share by evaluator; the shares of an evaluator add up to 1. Call it only without an obstacle."""
    from optuna import importance  # here, because it imports scikit-learn, for which no worker should wait

    # The forest's seed is fixed, so that a repeated report is the same. Optuna itself drops trials with an infinite
    # value.
    evaluators: dict[str, tuple[importance.BaseImportanceEvaluator, optuna.Study]] = {
        "PED-ANOVA": (importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE), study),
        "fANOVA": (importance.FanovaImportanceEvaluator(seed=0), _fanova_sample(study)),
    }
    return {
        name: {key: float(share) for key, share in importance.get_param_importances(of, evaluator=one).items()}
        for name, (one, of) in evaluators.items()
    }


def _fanova_sample(study: optuna.Study) -> optuna.Study:
    """The study, or a copy in memory with MAX_FANOVA_TRIALS of its trials, always with the best and the worst."""
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
