"""`python -m bench growth`: the rows of named stages are measured anew, the others kept."""

from bench.growth import merged


def test_rows_that_are_not_measured_are_kept_and_all_have_the_same_keys():
    kept = [{"stage": "a", "10k_s": 1.0, "time": 1.0}, {"stage": "b", "10k_s": 2.0, "time": 1.1}]
    measured = {
        name: {"stage": name, "10k_s": 3.0, "3000k_s": 9.0, "time": 1.2} for name in ("first", "b")
    }
    assert merged(kept, measured, {"b"}) == [
        {"stage": "a", "10k_s": 1.0, "3000k_s": "", "time": 1.0},
        {"stage": "b", "10k_s": 3.0, "3000k_s": 9.0, "time": 1.2},
    ]
