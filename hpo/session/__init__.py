"""A study that is opened: its inputs, its storage, its tracker, and the last records that are sent."""
