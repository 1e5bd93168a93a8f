"""What datasets share: how folders, lists, photos, sounds and recordings are read."""
