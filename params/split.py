"""Which documents are held out."""

from pydantic import Field, model_validator

from params.base import Params


class SplitParams(Params):
    """Held-out shares, chosen by the hash of the document so that none changes side as the corpus grows."""

    validation: float = Field(default=0.02, gt=0, lt=1)
    """Share of documents held out to steer training."""
    test: float = Field(default=0.02, gt=0, lt=1)
    """Share of documents held out for the final evaluation."""
    salt: str = "gristmill"
    """Text mixed into the hash; another salt draws other documents."""

    @model_validator(mode="after")
    def _leaves_text_to_train_on(self) -> "SplitParams":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must stay below 1")
        return self
