"""The gates that the Pythia student passes before it ships."""


def test_training_set_holds_little_that_a_student_would_recite(predicted_risk, thresholds):
    assert predicted_risk().share_at_risk <= thresholds.max_predicted_risk


def test_student_recites_little(memorization, student, thresholds):
    assert memorization(student).rate <= thresholds.max_memorization_rate


def test_student_recites_less_than_fine_tuning(inheritance, thresholds):
    assert inheritance().reduction >= thresholds.min_reduction


def test_teacher_secrets_stay_with_the_teacher(inheritance, thresholds):
    assert inheritance().ratio <= thresholds.max_inheritance_ratio


def test_student_is_as_useful_as_fine_tuning(memorization, student, baseline, control_set):
    assert memorization(student, control_set).loss <= memorization(baseline, control_set).loss


def test_what_counts_as_memorized_is_not_merely_predictable(memorization, teacher, control_set):
    assert memorization(teacher, control_set).rate <= 0.01
