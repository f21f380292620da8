"""How the trained model is cut down before it is evaluated and exported, and how it heals."""

from pydantic import Field

from params.base import Params


class PruneParams(Params):
    """Layers and neurons taken out for good, which makes the model smaller and faster everywhere; off by default."""

    drop_layers: int = Field(default=0, ge=0)
    """Transformer blocks to take out, one after the other: each time the one without which the loss rises least."""
    ffn_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the feed-forward neurons of each layer that stays: those that are most active, times the norm of what
    they write."""
    scan_blocks: int = Field(default=16, ge=1)
    """Validation blocks on which importance is measured."""
    heal_tokens: int = Field(default=500_000, ge=0)
    """Training tokens on which the cut model learns to say what the whole one says; 0 leaves it as it was cut."""
    batch_blocks: int = Field(default=8, ge=1)
    """Blocks of a step of healing."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak rate of AdamW while healing; it rises for a twentieth of the steps and falls to zero."""
    temperature: float = Field(default=1.0, gt=0)
    """By which the logits of both models are divided; above 1 the unlikely tokens count more."""
    save_every_steps: int = Field(default=50, ge=1)
    """Steps of healing between two checkpoints."""
    seed: int = 0
    """Order of the training blocks."""

    @property
    def is_on(self) -> bool:
        """Whether anything is cut."""
        return self.drop_layers > 0 or self.ffn_share < 1
