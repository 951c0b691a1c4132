"""The page of rollouts in Chromium: start, a rollout that stopped, stop and roll back by hand."""

from contextlib import ExitStack

from tests.hub.test_rollouts import config, linked, select, state  # noqa: F401 - a fixture
from tests.support.fleets import served_hub
from tests.support.packed import write_keys, write_packed
from tests.web.browser import find, fits, follow, serious_issues, texts, wait


def upload(browser, hub, archive, signature, **values):
    browser.get(f"{hub.address}/rollouts")
    find(browser, "[name=archive]").send_keys(str(archive))
    find(browser, "[name=signature]").send_keys(str(signature))
    for name, value in values.items():
        find(browser, f"[name={name}]").clear()
        find(browser, f"[name={name}]").send_keys(value)
    find(browser, "#start button").click()


def test_rollout_that_fails_is_shown_and_others_end_by_hand(config, tmp_path, browser):  # noqa: F811
    key = write_keys(tmp_path, "theirs")
    foreign = write_packed(tmp_path, key, name="foreign", header="version = 3")
    with served_hub(config) as hub, ExitStack() as stack:
        fleet = linked(stack, config, hub)
        upload(browser, hub, foreign, tmp_path / "old.tar.sig")
        wait(browser, lambda: texts(browser, "#start [role=alert]") != [""])
        (problem,) = texts(browser, "#start [role=alert]")
        assert "bundle: is not signed by a key of" in problem
        assert "400" in browser.get_log("browser")[0]["message"]
        upload(browser, hub, foreign, tmp_path / "foreign.tar.sig", trial_minutes="0.001")
        wait(browser, lambda: texts(browser, ".rollout .state") == ["running"])
        (tmp_path / "trusted" / "theirs.pem").unlink()  # the devices do not trust this key
        fleet.until(lambda: state(config) == "rolled back")
        browser.refresh()
        assert texts(browser, ".rollout .state") == ["rolled back"]
        (reason,) = texts(browser, ".reason")
        assert reason.startswith("Wave 1: 1 of 1 devices failed, for example ")
        assert "is not signed by a key of" in texts(browser, "tbody .problem")[0]
        rows = texts(browser, "tbody tr")
        assert [row.split()[0] for row in rows] == ["1", "2,", "3,"], "two have not started"
        for size in ((390, 844), (1440, 900)):
            browser.set_window_size(*size)
            assert (serious_issues(browser), fits(browser)) == ([], True)

        upload(browser, hub, tmp_path / "old.tar", tmp_path / "old.tar.sig", trial_minutes="0.001")
        wait(browser, lambda: texts(browser, ".rollout .state") == ["running", "rolled back"])
        follow(browser, "button[value=stop]")
        assert texts(browser, ".rollout .state")[0] == "stopped"
        assert texts(browser, ".reason")[0] == "By admin."
        sent = "SELECT count(*) FROM desired WHERE document LIKE '%\"bundle\"%'"
        fleet.until(lambda: select(config, sent) == [(0,)])
        upload(browser, hub, tmp_path / "old.tar", tmp_path / "old.tar.sig", trial_minutes="0.001")
        fleet.until(lambda: "old" in fleet.bundles)
        browser.refresh()
        follow(browser, "button[value='roll back']")
        assert texts(browser, ".rollout .state")[0] == "rolled back"
        fleet.until(lambda: fleet.bundles == ("", "", ""))
