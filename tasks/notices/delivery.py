"""A delivery that did not come about."""


class DeliveryError(Exception):
    """Why a channel did not take a notice; told in a warning, never to the run."""

    def __init__(self, why: str, *, is_passing: bool = True) -> None:
        super().__init__(" ".join(why.split()))
        self.is_passing = is_passing
        """Whether another attempt may help."""
