"""Light-weight restoration: photo and words in, restored photo out. See `lwr.restore.Restorer`."""
