"""Images of one size, or photos of any."""

from __future__ import annotations

from pipeline.config.params import Dataset
from pipeline.datasets.reading import photo_list
from pipeline.planning import kinds
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.kinds import SearchedNetwork, Words
from pipeline.planning.networks import BACKBONE, LARGE, SMALL_BACKBONE, Candidate
from pipeline.planning.parts import TEST

PHOTO = 48  # pixels of a side


class Pixels(kinds.PlannedKind):
    searched = SearchedNetwork("tiny", layers=4, first=8, last=24, any_form=True)

    def words(self, data: Survey) -> Words:
        if data.size:
            return Words("image", "images", "is the image")
        return Words("photo", "photos", "does the photo show")

    def backbone(self, data: Survey, board: str | None) -> Candidate | None:
        """For photos that are not small."""
        if data.size or data.side < LARGE:
            return None
        return SMALL_BACKBONE if board else BACKBONE

    def candidates(self, data: Survey, board: str | None, has_weights: bool) -> list[Candidate]:
        if data.size:
            own = [Candidate("edge", None, "a small network for images of this size")]
            return [*own, Candidate("tiny", None, f"edge does not fit {board}")] if board else own
        side = min(PHOTO, data.side)
        edge = Candidate("edge", side, "a small network, trained from scratch")
        published = self.backbone(data, board) if has_weights else None
        first = [published] if published else []
        if board:
            smaller = min(32, side)
            return [
                *first,
                edge,
                Candidate("tiny", side, f"edge does not fit {board}"),
                Candidate("tiny", smaller, f"more pixels do not fit {board}"),
            ]
        return first or [edge]

    def shape(self, dataset: Dataset) -> tuple[int, ...]:
        return photo_list.shape(dataset)

    def dataset(self, data: Survey, network: Candidate) -> list[Choice]:
        if network.side is None:
            return []
        why = "more hardly help, and cost"
        if network.is_backbone:
            why = "what the published weights take"
        shown = f"your pictures have about {data.side} pixels on the shorter side; {why}"
        colours = "your pictures have colours" if data.colour else "your pictures are grey"
        return [
            Choice("dataset.height", network.side, shown),
            Choice("dataset.width", network.side),
            Choice("dataset.channels", 3 if data.colour else 1, colours),
            Choice("dataset.test", TEST),
        ]

    def augmentation(self, data: Survey, network: Candidate) -> Choice:
        key = "train.augmentation"
        if network.is_backbone:
            return Choice(key, [], "so that the frozen layers are computed only once")
        if data.number:
            return Choice(key, [], "turned, mirrored or shifted, a picture may mean another number")
        if data.colour or data.side >= PHOTO:
            reason = "it also mirrors; take digits if left and right matter, as in letters"
            return Choice(key, "photos_light", reason)
        return Choice(key, "digits", "small shifts, which change no meaning")


KIND = Pixels()
