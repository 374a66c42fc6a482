"""What trainings and audits measure, under stable names, in the trackers that a team has."""
