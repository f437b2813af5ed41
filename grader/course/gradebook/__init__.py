"""What a class is held to: roster, due dates, rules, overrides. Grades are computed from them and never stored."""
