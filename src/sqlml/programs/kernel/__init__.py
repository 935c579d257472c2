"""Programs as native code: one machine for all of them, compiled once, and an image of each that it runs."""
