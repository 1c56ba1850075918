from rl_keras.seeds import derive_seed


def test_golden_values():
    seeds = [derive_seed(0), derive_seed(0, "labels"), derive_seed(7, "order", 3)]
    assert seeds == [1975260290, 2009068386, 805344497]


def test_in_range_and_distinct():
    seeds = {derive_seed(root, name) for root in range(100) for name in ("labels", "order")}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_names_do_not_run_together():
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc")
    assert derive_seed(1, "2") != derive_seed(12)
