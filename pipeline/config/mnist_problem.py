"""Which keys of `problem` still describe MNIST, as params.yaml does when it comes."""

from __future__ import annotations

from pipeline.config.problem import Problem

NAME = "mnist-digits"
STATEMENT = "Which digit does a scanned image of one handwritten digit show?"
USE = "Reading single digits from 0 to 9, written by hand in the Western way, one to an image."
LIMIT = (
    'Letters, several digits or no digit at all are often read as a digit; the answer is "none of '
    'these" only if the model is unsure.'
)


def keys(problem: Problem) -> list[str]:
    """The keys whose text the model card would repeat, although the model reads no digits."""
    still = {
        "problem.statement": problem.statement == STATEMENT,
        "problem.use": problem.use == USE,
        "problem.limits": LIMIT in problem.limits,
    }
    return [key for key, is_mnist in still.items() if is_mnist]
