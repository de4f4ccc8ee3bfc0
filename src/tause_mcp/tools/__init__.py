"""What a model sees: typed functions, wording, hints."""
