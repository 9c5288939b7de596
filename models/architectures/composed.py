"""Any encoder with any head for arbitrary scales, as one network."""

from __future__ import annotations

from torch import Tensor

from models.architectures.network import Encoder, Head, TrunkedNetwork


class Composed(TrunkedNetwork):
    """An encoder at one of its widths, then a head that all widths share (AnySR Eq. 3 and 4)."""

    __jit_unused_properties__ = ("halo", "features")

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__(encoder.widths)
        self.encoder = encoder
        self.head = head
        self.tile_output_pixels = head.tile_output_pixels

    @property
    def halo(self) -> int | None:
        """The sum of both parts' halos; None if one of them is not exactly local."""
        if self.encoder.halo is None or self.head.halo is None:
            return None
        return self.encoder.halo + self.head.halo

    @property
    def features(self) -> int:
        """The number of features that the head reads."""
        return self.encoder.features

    def trunk(self, image: Tensor, condition: Tensor, channels: int) -> Tensor:
        """Return the encoder's features [B, features, H, W]."""
        features: Tensor = self.encoder(image, condition, channels)
        return features
