"""What a saved notebook shows of runs when the kernel that ran them is gone."""

from collections.abc import Callable

from tests.browser.lab import Tab

HELD = """%%workflow held --invoke --run-id held
await ctx.run("first", str, 1)
await ctx.wait_for_event("paid", "payment")"""


def test_a_restart_and_a_reload_leave_the_run_as_it_was_last_seen(
    opened: Callable[..., Tab],
) -> None:
    tab = opened("%load_ext nbflow", HELD)
    tab.execute(0)
    tab.run(1)
    shown = tab.show(1)
    shown.locator(".nbf-run").get_by_text("paid", exact=True).wait_for()
    tab.restart()
    tab.until(lambda: "disconnected" in tab.text(1), "the view says so")
    tab.save()
    tab.reload()
    text = tab.text(1)
    assert "model not found" not in text
    for wanted in ("held", "running", "disconnected", "first", "paid"):
        assert wanted in text
