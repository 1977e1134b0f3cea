"""The report of a run: one self-contained page, the comparison video and the contact sheet."""

from flowedit.report.page import render_report
from flowedit.report.pictures import comparison_frames, contact_sheet

__all__ = ["comparison_frames", "contact_sheet", "render_report"]
