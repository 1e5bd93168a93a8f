"""Stage 6: evaluate the model once on the held-out test set, against the target and the baseline.

    python -m pipeline.evaluate

Reads: model/model.keras, data/prepared/test, the baseline's predictions.
Writes: evaluation/test_probabilities.npy, reports/evaluate.json, reports/confusion.{csv,png},
reports/bars.png, reports/mistakes.png. A gate that fails here only warns; `package` then refuses to
make a bundle.
"""

from __future__ import annotations

from pipeline import targets
from pipeline.config import params
from pipeline.files import artifacts, groups
from pipeline.process import imports, stage
from pipeline.reporting import pictures
from pipeline.training import keras_files


def main() -> None:
    settings = params.load()
    description = artifacts.load_description()
    images, labels = artifacts.load_split("test")
    baseline = artifacts.load_array(artifacts.BASELINE_PREDICTIONS)
    with imports.quiet():
        model = keras_files.load(artifacts.MODEL)
        outputs = keras_files.probabilities(model, images)
    scoring = targets.scoring(description.target)
    report = scoring.evaluate(outputs, labels, baseline, description, settings.problem.target)
    report = scoring.with_groups(report, outputs, labels, description, groups.load_names())
    artifacts.save_array(artifacts.TEST_PROBABILITIES, outputs)
    report.save()
    report.save_metrics()
    scoring.draw(pictures, (images, labels), outputs, description, report)
    print("\n".join([scoring.score_in_words(report), *scoring.remarks(report)]))
    for sentence in report.judged.sentences:
        print(
            f"warning: {sentence}; there will be no bundle, "
            "but `edgeproof draft` writes one that is marked as not proven"
        )


if __name__ == "__main__":
    stage.run(main)
