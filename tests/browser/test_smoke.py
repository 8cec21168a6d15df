def test_a_cell_runs_in_a_real_lab(opened):
    tab = opened("import nbflow\nprint('version', nbflow.__version__)")
    tab.execute(0)
    assert "version" in tab.text(0)
