"""What a person sees at the end of a run: summary, tables, plots, page."""
