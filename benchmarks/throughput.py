"""Audio seconds per second, for training and for scoring, of this project's WaveNet beside a textbook WaveNet.

    python benchmarks/throughput.py [--threads 2] [--device cuda] [--turns 7]

Both hold the same weights and compute the same function; that is checked before anything is timed. They train on the
same batches (Adam, clipped gradient) and score the same clips (surprise and entropy past the first receptive field).
The implementations differ. The textbook's convolutions are padded `nn.Conv1d`, so it also predicts samples without full
context and drops them, and it holds all logits at once. Its input is a table of embeddings, or one-hot vectors with
`--textbook-input one-hot`, which is slower and also common. It uses PyTorch's own threads, inside each operator. Ours
share out windows and clips, which loses less on a busy machine: with several threads, measure on an idle one.
The two are measured in turn, so that noise affects both. Figures are medians, and the ratio is the median over turns.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # so that `core` is found without being installed

from core.model.frontend import Codes
from core.model.likelihood import LEAST_VARIANCE, SampleScores
from core.model.scoring import score_clips
from core.model.training import HeldWindows, TrainingConfig, train_epochs
from core.model.wavenet import FRONT_KERNEL, KERNEL, WaveNet, WaveNetConfig
from core.thread_pool import ThreadPool

SAMPLE_RATE_HZ = 4000
CLIP_SECONDS = 3
FRAME_SAMPLES = 100
SIZES = ((6, 32, 8), (7, 64, 16), (9, 128, 32))
"""Dilation depth, receptive field in ms, residual channels."""
MICROPHONES = (4, 1)


class TextbookWaveNet(nn.Module):
    """(B, C, T) codes to logits (B, C, Q, T): at t, of sample t + 1. Weights are copied from one of ours."""

    def __init__(self, ours: WaveNet, one_hot: bool) -> None:
        super().__init__()
        config = ours.config
        self.num_channels, self.levels, self.width = config.num_channels, config.mu_law_levels, config.residual_channels
        self.dilations, self.one_hot = config.dilations, one_hot
        self.register_buffer("offsets", ours.code_offsets.clone())
        table = ours.embedding.weight.detach()
        self.embedding = nn.Embedding.from_pretrained(table.clone(), freeze=False)
        # A tap's half of each embedding: what a table of twice the width needs to stand for one table a tap.
        taps = table if one_hot else torch.eye(FRONT_KERNEL * self.width, device=table.device)
        self.front = _convolution(taps.t(), None, split_outputs=True)
        self.gates = nn.ModuleList(_convolution(b.gate.weight, b.gate.bias, dilation=b.dilation) for b in ours.blocks)
        self.outs = nn.ModuleList(_convolution(b.out.weight, b.out.bias, kernel=1) for b in ours.blocks)
        self.hidden = _convolution(ours.hidden.weight, ours.hidden.bias, kernel=1)
        self.heads = _convolution(ours.heads.weight, ours.heads.bias, kernel=1)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.front(functional.pad(self._input(codes), (FRONT_KERNEL - 1, 0)))
        skips = 0
        for dilation, gate, out in zip(self.dilations, self.gates, self.outs, strict=True):
            filtered, gated = gate(functional.pad(x, (dilation * (KERNEL - 1), 0))).chunk(2, dim=1)
            both = out(torch.tanh(filtered) * torch.sigmoid(gated))
            skips = skips + both[:, -self.hidden.in_channels :]
            x = x + both[:, : self.width] if out is not self.outs[-1] else x
        logits = self.heads(torch.relu(self.hidden(torch.relu(skips))))
        return logits.unflatten(1, (self.num_channels, self.levels))

    def _input(self, codes: Tensor) -> Tensor:
        if self.one_hot:
            return functional.one_hot(codes.long(), self.levels).transpose(2, 3).flatten(1, 2).float()
        return self.embedding(codes.long() + self.offsets).sum(dim=1).transpose(1, 2)

    def loss_bits(self, codes: Tensor, context_samples: int) -> Tensor:
        logits = self(codes[..., :-1])[..., context_samples - 1 :].transpose(1, 2)
        return functional.cross_entropy(logits, codes[..., context_samples:].long()) / math.log(2)

    @torch.inference_mode()
    def sample_scores(self, codes: Tensor, context_samples: int) -> SampleScores:
        log_p = self(codes[..., :-1])[..., context_samples - 1 :].log_softmax(dim=2) / math.log(2)
        p = log_p.exp2()
        surprise = -log_p.read_inputs(2, codes[:, :, None, context_samples:].long()).squeeze(2)
        entropy = -(p * log_p).sum(dim=2)
        variance = (p * log_p.square()).sum(dim=2) - entropy.square()
        return SampleScores(surprise, entropy, (surprise - entropy) / (variance + LEAST_VARIANCE).sqrt())


def _convolution(
    weight: Tensor, bias: Tensor | None, *, kernel: int = KERNEL, dilation: int = 1, split_outputs: bool = False
) -> nn.Conv1d:
    """A Conv1d of these weights; the taps lie side by side in the matrix's inputs, or in its outputs."""
    taps = torch.stack(weight.detach().chunk(kernel, dim=0 if split_outputs else 1), dim=-1).contiguous()
    outputs, inputs, _ = taps.shape
    convolution = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, bias=bias is not None, device=weight.device)
    convolution.weight = nn.Parameter(taps)
    if bias is not None:
        convolution.bias = nn.Parameter(bias.detach().clone())
    return convolution


def train_textbook(model: TextbookWaveNet, clips: Codes, context_samples: int, config: TrainingConfig) -> None:
    """One epoch of training with the same steps as `train_epochs`, without its optimisations."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    random = np.random.default_rng(0)
    length = context_samples + config.window_targets
    for _ in range(config.steps_per_epoch(SAMPLE_RATE_HZ)):
        which = random.integers(len(clips), size=config.batch_windows)
        starts = random.integers(clips.shape[-1] - length + 1, size=config.batch_windows)
        windows = [clips[clip, :, start : start + length] for clip, start in zip(which, starts, strict=True)]
        optimizer.zero_grad()
        loss = model.loss_bits(torch.from_numpy(np.stack(windows)).to(model.offsets.device), context_samples)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.gradient_norm)
        optimizer.step()
    loss.item()  # waits for the device


def train_ours(model: WaveNet, clips: Codes, config: TrainingConfig, pool: ThreadPool) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    list(
        train_epochs(
            model, optimizer, HeldWindows(clips), config=config, sample_rate_hz=SAMPLE_RATE_HZ, seed=0, pool=pool
        )
    )


def score_textbook(model: TextbookWaveNet, clips: Codes, context_samples: int) -> None:
    """Clip by clip, since all logits of one clip are large enough."""
    for clip in clips:
        bits = model.sample_scores(torch.from_numpy(clip[None]).to(model.offsets.device), context_samples)
        for kind in bits:
            kind[..., : kind.shape[-1] // FRAME_SAMPLES * FRAME_SAMPLES].unflatten(-1, (-1, FRAME_SAMPLES)).mean(
                -1
            ).cpu()


def score_ours(model: WaveNet, clips: Codes, pool: ThreadPool) -> None:
    field = model.config.receptive_field_samples
    score_clips(model, clips, context_samples=field, frame_samples=FRAME_SAMPLES, pool=pool)


def check_agreement(ours: WaveNet, textbook: TextbookWaveNet, clips: Codes) -> None:
    """Asserts equal losses, equal gradients of the first block and the heads, equal scores."""
    field = ours.config.receptive_field_samples
    codes = torch.from_numpy(clips[:1, :, : field + 500]).to(textbook.offsets.device)
    losses = ours.loss_bits(codes), textbook.loss_bits(codes, field)
    gradients = torch.autograd.grad(losses[0], [ours.heads.weight, ours.blocks[0].gate.weight])
    references = torch.autograd.grad(losses[1], [textbook.heads.weight, textbook.gates[0].weight])
    scores, score_references = ours.sample_scores(codes), textbook.sample_scores(codes, field)
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-4)
    close(losses[0], losses[1])
    close(gradients[0], references[0].squeeze(-1))
    close(torch.stack(gradients[1].chunk(KERNEL, dim=1), dim=-1), references[1])
    close(scores, score_references)


def seconds_of(work: Callable[[], None], num_operator_threads: int) -> float:
    torch.set_num_threads(num_operator_threads)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(
    ours: WaveNet, textbook: TextbookWaveNet, arguments: argparse.Namespace, pool: ThreadPool
) -> dict[str, tuple[float, float, float]]:
    """By task, medians over turns: audio seconds per second of ours, of the textbook, and their ratio."""
    field, num_channels = ours.config.receptive_field_samples, ours.config.num_channels
    num_clips = math.ceil(arguments.audio_seconds / CLIP_SECONDS)
    clip_shape = (num_clips, num_channels, CLIP_SECONDS * SAMPLE_RATE_HZ)
    clips = np.random.default_rng(0).integers(256, size=clip_shape, dtype=np.uint8)  # speed does not hear what it is
    check_agreement(ours, textbook, clips)
    config = TrainingConfig(epochs=1, seconds_per_epoch=arguments.audio_seconds, learning_rate=1e-4)
    num_trained = config.steps_per_epoch(SAMPLE_RATE_HZ) * config.batch_windows * config.window_targets
    num_scored = num_clips * ((clip_shape[-1] - field) // FRAME_SAMPLES) * FRAME_SAMPLES
    train_both = partial(train_ours, ours, clips, config, pool), partial(train_textbook, textbook, clips, field, config)
    score_both = partial(score_ours, ours, clips, pool), partial(score_textbook, textbook, clips, field)
    rates = {}
    for task, num_samples, (one, other) in (("training", num_trained, train_both), ("scoring", num_scored, score_both)):
        turns = [(seconds_of(one, 1), seconds_of(other, arguments.threads)) for _ in range(arguments.turns + 1)]
        seconds = np.array(turns[1:])  # the first turn warms up
        speeds = num_samples / SAMPLE_RATE_HZ / np.median(seconds, axis=0)
        rates[task] = (speeds[0], speeds[1], float(np.median(seconds[:, 1] / seconds[:, 0])))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=5, help="timed turns of each, after one for warming up")
    parser.add_argument("--audio-seconds", type=float, default=6.0, help="audio trained on, and scored, in one turn")
    parser.add_argument("--textbook-input", choices=("embedding", "one-hot"), default="embedding")
    arguments = parser.parse_args()
    print(
        f"PyTorch {torch.__version__}, {arguments.device}, threads: {arguments.threads}, {SAMPLE_RATE_HZ} Hz; "
        "audio seconds per second, and how many times faster"
    )
    print("mics  depth     field  channels   weights  task           ours  textbook    ratio")
    with ThreadPool(arguments.threads) as pool:
        for num_channels, (depth, field_ms, width) in product(MICROPHONES, SIZES):
            torch.manual_seed(0)
            shape = WaveNetConfig(
                num_channels=num_channels,
                dilation_depth=depth,
                receptive_field_samples=field_ms * SAMPLE_RATE_HZ // 1000,
                residual_channels=width,
            )
            ours = WaveNet(shape).to(arguments.device)
            textbook = TextbookWaveNet(ours, one_hot=arguments.textbook_input == "one-hot")
            for task, (rate, reference, ratio) in measure(ours, textbook, arguments, pool).items():
                network = f"{num_channels:>4} {depth:>6} {field_ms:>6} ms {width:>9} {ours.num_weights:>9,}"
                print(f"{network}  {task:<9} {rate:>9.1f} {reference:>9.1f} {ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
