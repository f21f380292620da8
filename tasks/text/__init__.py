"""Text as numbers: normalization, statistics and script of documents, over the bytes of Arrow string buffers."""
