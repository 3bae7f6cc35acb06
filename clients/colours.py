"""Colours shared by the terminal view and the pictures."""

# One colour per phase, told apart by people with colour-blindness too (Okabe and Ito, 2008, lightened); then repeated.
PHASE_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#8a6fd1")
DARK_COLOURS = ("#0072b2",)
"""Those on which dark words cannot be read."""


def phase_colour(index: int) -> str:
    return PHASE_COLOURS[index % len(PHASE_COLOURS)]
