"""A remedy for a published network of which only the output layer has learned."""

from __future__ import annotations

from pipeline.search.change import Change, Situation, rounded

EPOCHS = 5  # that the upper layers learn


def thaw(now: Situation) -> Change | None:
    train = now.params.train
    lower = now.architecture.get("LOWER_LAYERS")
    if lower is None or train.weights == "none" or train.freeze is not None or train.thaw:
        return None
    head = max(1, train.epochs // 2)
    rate = rounded(train.learning_rate / 10)
    phase = {
        "after": head,
        "freeze": lower,
        "learning_rate": rate,
    }
    return Change(
        "upper layers that learn",
        {"train.thaw": [phase], "train.epochs": head + EPOCHS},
        "what the frozen layers see need not be what tells your classes apart; the last"
        f" {EPOCHS} epochs run the whole network, so they are slow",
    )
