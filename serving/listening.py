"""Words in a stream of sound: the probabilities of sliding windows, their means, and their peaks.

A window has the length of the model's input, and a word is in several of them. So the means of the
last windows' probabilities are compared, and of those within a window of each other only the
largest is a word.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Deque, Iterable, Iterator, Optional, Sequence, Tuple

import numpy as np

from serving.log_mel import LogMel
from serving.model_file import NONE

HOP = 0.25  # of a window
SMOOTHING = 2  # windows
THRESHOLD = 0.5


@dataclass(frozen=True)
class Word:
    """The number of a class, its mean probability, and the sample at which its windows begin."""

    start: int
    number: int
    probability: float


@dataclass(frozen=True)
class Listener:
    """How a stream is cut into windows of `frames`, and when their answers are a word.

    Windows begin `hop` frames apart. A word has a mean probability of the last `smoothing` windows
    of at least `threshold`.
    """

    front_end: LogMel
    frames: int
    hop: int
    smoothing: int = SMOOTHING
    threshold: float = THRESHOLD

    @classmethod
    def by_default(cls, front_end: LogMel, frames: int) -> Listener:
        """Windows begin a quarter of their length apart, to whole frames."""
        hop = round(HOP * front_end.samples(frames) / front_end.hop)
        return cls(front_end, frames, max(hop, 1))

    @property
    def step(self) -> int:
        """The samples from one window to the next."""
        return self.hop * self.front_end.hop

    @property
    def repeats(self) -> int:
        """The windows that begin within the length of one, itself included."""
        return -(-self.front_end.samples(self.frames) // self.step)

    def words(
        self,
        blocks: Iterable[Any],
        predict: Callable[[Any], Any],
        answers: Callable[[Any], Any],
    ) -> Iterator[Word]:
        """Blocks of samples (S,) int16 of any length, one after the other -> the words in them.

        `predict` gives the probabilities (N, K) float32 of features (N, T, bands, 1) uint8, and
        `answers` the numbers (N,) of classes for such probabilities, NONE for no word.
        """
        return self.peaks(self.means(blocks, predict), answers)

    def means(
        self, blocks: Iterable[Any], predict: Callable[[Any], Any]
    ) -> Iterator[Tuple[int, Any]]:
        """Where the last windows begin, on average, and their mean probabilities (K,) float32."""
        recent: Deque[Any] = deque(maxlen=self.smoothing)
        for index, samples in enumerate(self.windows(blocks)):
            recent.append(predict(self.front_end.features(samples)[None, ..., None])[0])
            mean = np.mean(recent, axis=0, dtype=np.float64).astype(np.float32)
            yield (2 * index - len(recent) + 1) * self.step // 2, mean

    def peaks(
        self, means: Iterable[Tuple[int, Any]], answers: Callable[[Any], Any]
    ) -> Iterator[Word]:
        """The words, each one window after it, when nothing has surpassed it."""
        best: Optional[Word] = None
        best_index = 0
        for index, (start, mean) in enumerate(means):
            if best and index - best_index >= self.repeats:
                yield best
                best = None
            number, probability = int(answers(mean[None])[0]), float(mean.max())
            # As float32, like the probabilities: C compares the same numbers.
            if number == NONE or probability < np.float32(self.threshold):
                continue
            if best is None or probability > best.probability:
                best, best_index = Word(start, number, probability), index
        if best:
            yield best

    def windows(self, blocks: Iterable[Any]) -> Iterator[Any]:
        """The samples of each window; zeros follow the last, so that every sample is in one."""
        count = self.front_end.samples(self.frames)
        waiting, seen = np.zeros(0, np.int16), 0  # of those that wait, a window had the first
        for block in blocks:
            waiting = np.concatenate([waiting, block])
            while len(waiting) >= max(count, self.step):
                yield waiting[:count]
                waiting, seen = waiting[self.step :], max(count - self.step, 0)
        if len(waiting) > seen:
            last = waiting[:count]
            yield np.pad(last, (0, count - len(last)))


def without(ignored: Sequence[int], answers: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The answers, with NONE in place of the classes that are not words."""

    def words_only(probabilities: Any) -> Any:
        numbers = answers(probabilities)
        return np.where(np.isin(numbers, ignored), NONE, numbers)

    return words_only
