"""The JSON header of a detector's file, checked before anything that it claims is allocated.

A detector's file may come from anywhere. Every number in its header has a bound, the parts agree with each other, and
the file's tensors are exactly those of the network that the header describes: so what is allocated later is as large
as the file itself. All of it is checked on the header and on the tensors' shapes, without reading a tensor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from core.data.channels import Channels, microphones_of, num_heard
from core.data.stand_ins import StandIn
from core.decision.healthy_scores import LOWEST_SIGMAS, HealthyScores
from core.decision.innovations_file import InnovationsHeader, tensor_infos
from core.decision.levels import LevelRange
from core.decision.postprocess import MIN_SIGMA_BITS, Calibration, PostprocessingConfig
from core.errors import UserError
from core.model.frontend import FrontEndConfig
from core.model.scoring import INNOVATIONS, ScoringConfig
from core.model.tensor_file import MAX_HEADER_BYTES, TensorInfo
from core.model.wavenet_config import WaveNetConfig, count_weights, num_layers_of, weight_shapes

FORMAT = "wavenet-detector-3"
DTYPE = "F32"
MAX_CHANNELS, MAX_LAYERS, MAX_WIDTH = 1024, 4096, 65_536
MAX_WEIGHTS = 100_000_000
MAX_CLIP_SECONDS = 3600
MAX_RECEPTIVE_FIELD = 2**30
MAX_LENGTH_IN_CLIPS = 10
"""Of the median, the gaps that are filled and the shortest event: the cost of post-processing grows with them."""
MAX_WINDOW_MS = 1e9
MAX_BITS = 1e9
"""Of a calibration, in either direction."""
LARGEST_FLOAT32 = 3e38

Gain = Annotated[float, Field(gt=0, le=LARGEST_FLOAT32)]


@dataclass(frozen=True, kw_only=True)
class DetectorHeader:
    """The header of a detector's file. `levels`, `healthy` and `faults_last` are missing in files that were written
    before they were kept, and `healthy` is missing in files of trials. `stand_ins` is missing where nothing stood in
    for recordings, and `channels` where the study chose none."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    format: str
    network: WaveNetConfig
    front_end: FrontEndConfig
    channel_gains: tuple[Gain, ...]
    scoring: ScoringConfig
    postprocessing: PostprocessingConfig
    frame_ms: float
    clip_samples: int
    context_samples: int
    calibrations: dict[str, tuple[Calibration, ...]] = field(default_factory=dict)
    """Of every score but `innovations`."""
    innovations: InnovationsHeader | None = None
    """Of the score `innovations`."""
    levels: dict[str, tuple[LevelRange, ...]] | None = None
    healthy: HealthyScores | None = None
    stand_ins: tuple[StandIn, ...] = ()
    faults_last: bool = False
    channels: Channels | None = None

    @property
    def machines(self) -> tuple[str, ...]:
        return self.innovations.machines if self.innovations else tuple(self.calibrations)

    def __post_init__(self) -> None:
        _check_network(self.network)
        _check_lengths(self)
        _check_postprocessing(self.postprocessing, 1000 * self.clip_samples / self.front_end.read_rate_hz)
        _check_channels(self)
        if self.healthy is not None:
            _check_healthy(self.healthy)


HEADER = TypeAdapter(DetectorHeader)


def parse_header(text: str) -> DetectorHeader:
    """UserError, without the file's name, for a header that cannot be a detector's."""
    try:
        table = from_json(text)
    except ValueError as error:
        raise UserError(f"its header is not JSON: {_short(str(error))}.") from error
    found = table.get("format") if isinstance(table, dict) else None
    if found != FORMAT:
        raise UserError(
            f"its format must be {FORMAT}, but is {_short(found)}. A detector of an older format must be trained again."
        )
    try:
        return HEADER.validate_json(text)
    except ValidationError as error:
        raise UserError(f"in its header {_first_problem(error)}") from error


def check_tensors(header: DetectorHeader, tensors: Mapping[str, TensorInfo]) -> None:
    """UserError unless the file's tensors, by name, are those of the network that the header describes."""
    num_layers = num_layers_of(header.network)
    if num_layers > MAX_LAYERS:
        raise UserError(f"its network must have at most {MAX_LAYERS} layers, but has {num_layers}.")
    num_weights = count_weights(header.network)
    if num_weights > MAX_WEIGHTS:
        raise UserError(f"its network must have at most {MAX_WEIGHTS:,} weights, but has {num_weights:,}.")
    expected = {name: TensorInfo(dtype=DTYPE, shape=shape) for name, shape in weight_shapes(header.network).items()}
    if header.innovations is not None:
        expected |= tensor_infos(header.innovations, header.postprocessing, header.network.num_channels)
    for name in sorted(expected.keys() | tensors.keys()):
        if tensors.get(name) != expected.get(name):
            repair = "" if name in tensors else " Train a detector of an older version again."
            raise UserError(
                f"its tensor {_short(name)} must be {_described(expected.get(name))} for its header's network, "
                f"but is {_described(tensors.get(name))}.{repair}"
            )


def _described(tensor: TensorInfo | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype} {_short(tensor.shape)}"


def _check_network(network: WaveNetConfig) -> None:
    _check_range("network.num_channels", network.num_channels, 1, MAX_CHANNELS)
    _check_range("network.mu_law_levels", network.mu_law_levels, 2, 256)
    _check_range("network.residual_channels", network.residual_channels, 1, MAX_WIDTH)
    _check_range("network.skip_channels", network.skip_channels, 1, MAX_WIDTH)
    _check_range("network.receptive_field_samples", network.receptive_field_samples, 1, MAX_RECEPTIVE_FIELD)


def _check_lengths(header: DetectorHeader) -> None:
    """A clip has at least one frame after its context, and the context covers the receptive field."""
    front_end = header.front_end
    frame_samples = header.scoring.frame_samples(front_end.sample_rate_hz)
    _check_range("frame_ms", header.frame_ms, 1, 1000)
    _check_range("clip_samples", header.clip_samples, 1, MAX_CLIP_SECONDS * front_end.read_rate_hz)
    longest_context = header.clip_samples // front_end.decimation - frame_samples
    _check_range("context_samples", header.context_samples, header.network.receptive_field_samples, longest_context)


def _check_postprocessing(config: PostprocessingConfig, clip_ms: float) -> None:
    _check_range("postprocessing.window_ms", config.window_ms, 0, MAX_WINDOW_MS)
    for name in ("median_ms", "gap_ms", "min_event_ms"):
        _check_range(f"postprocessing.{name}", getattr(config, name), 0, MAX_LENGTH_IN_CLIPS * clip_ms)


def _check_channels(header: DetectorHeader) -> None:
    """Every part has the network's channels and levels, and there is a machine to judge."""
    num_channels, num_levels = header.network.num_channels, header.network.mu_law_levels
    if header.channels is not None:
        _check_range("the number of channels", num_heard(header.channels, num_channels), num_channels, num_channels)
        numbers = microphones_of(header.channels, num_channels)
        if list(numbers) != sorted(set(numbers)):
            raise UserError("channels must ascend, but do not.")
        _check_range("the first of channels", numbers[0], 1, MAX_CHANNELS)
        _check_range("the last of channels", numbers[-1], 1, MAX_CHANNELS)
    _check_range("front_end.mu_law_levels", header.front_end.mu_law_levels, num_levels, num_levels)
    _check_range("the number of channel_gains", len(header.channel_gains), num_channels, num_channels)
    is_innovations = header.scoring.score == INNOVATIONS
    if is_innovations != (header.innovations is not None) or is_innovations == bool(header.calibrations):
        raise UserError("calibrations must name a machine, or innovations be given for the score of that name.")
    if header.innovations is not None:
        header.innovations.check_against(header.postprocessing)
    for columns in header.calibrations.values():
        _check_range("the calibrations of a machine", len(columns), 1 + num_channels, 1 + num_channels)
        for column in columns:
            _check_range("mu", column.mu, -MAX_BITS, MAX_BITS)
            _check_range("sigma", column.sigma, MIN_SIGMA_BITS / 2, MAX_BITS)  # the root of a mean of squares rounds
    if header.levels is not None:
        if set(header.levels) != set(header.machines):
            raise UserError("levels must name the machines that were calibrated, but name others.")
        for ranges in header.levels.values():
            _check_range("the levels of a machine", len(ranges), num_channels, num_channels)


def _check_healthy(healthy: HealthyScores) -> None:
    _check_range("healthy.seconds_a_clip", healthy.seconds_a_clip, 1e-3, MAX_CLIP_SECONDS)
    for take in healthy.takes:
        _check_range("the clips of a healthy recording", len(take), 1, MAX_HEADER_BYTES)
        for score in take:
            _check_range("a healthy score", score, LOWEST_SIGMAS, MAX_BITS)


def _check_range(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        rule = f"{lowest:g}" if lowest == highest else f"{lowest:g} to {highest:g}"
        raise UserError(f"{name} must be {rule}, but got {_short(value)}.")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    if "error" in problem.get("ctx", {}):
        return str(problem["ctx"]["error"])
    if problem["type"] in ("missing", "missing_keyword_only_argument"):
        return f"{_short(where)} must be given, but is missing."
    if problem["type"] == "unexpected_keyword_argument":
        return f"{_short(where)} must be a known key, but is not. Another version of this project wrote the file."
    rule = problem["msg"].removeprefix("Input should ")
    return f"{_short(where) or 'the header'} must {rule}, but got {_short(problem['input'])}."


def _short(value: Any, most: int = 60) -> str:
    """A name or a value from a stranger's file, in one line of bounded length."""
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= most else f"{text[:most]}..."
    return text if text.isprintable() else repr(text)
