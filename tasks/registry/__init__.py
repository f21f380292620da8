"""Released bundles: their files, card, lineage, gate and promotion."""
