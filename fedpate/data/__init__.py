"""Where records come from, and how they are dealt to hospitals and split."""
