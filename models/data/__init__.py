"""Pictures of real objects for training: read (furniture, obj), draw (render), pack (pack)."""
