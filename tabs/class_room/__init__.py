"""The Class tab: one's own work over all labs, the boards, and the instructor's room."""
