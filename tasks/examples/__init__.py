"""Examples to learn from: conversations, preferences, labelled texts and pairs of texts, read, rendered and packed."""
