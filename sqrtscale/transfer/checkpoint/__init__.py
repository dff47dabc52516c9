"""Files that torch.save wrote, moved to another batch size as new files."""
