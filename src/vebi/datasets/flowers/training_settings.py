"""What a training depends on, and whether something stored is of the same training."""

from dataclasses import asdict, dataclass

#: What earlier versions, which did not store these, trained with.
EARLIER = {"architecture": "flowernet", "folds_by": "rotation", "augment": False, "permuted_labels": False}


@dataclass(frozen=True)
class TrainingSettings:
    """All that the weights of a trained network depend on.

    Attributes:
        data: Fingerprint of the data set.
        epochs: Passes over the training images.
        fold: The fold that is held out.
        seed: Seed of the initial weights and of the order of the images.
        architecture: Name of the network.
        folds_by: What makes the folds.
        augment: Whether images are mirrored and shifted at random.
        permuted_labels: Whether the labels were permuted, so that there is nothing to learn.
    """

    data: str
    epochs: int
    fold: int
    seed: int
    architecture: str
    folds_by: str
    augment: bool
    permuted_labels: bool

    def match(self, stored: object) -> bool:
        """Whether ``stored``, the dictionary of these fields in a file of this version or an earlier one, is equal."""
        return isinstance(stored, dict) and EARLIER | stored == asdict(self)
