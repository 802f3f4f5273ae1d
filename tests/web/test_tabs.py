from minisam.web.tabs import FORGOTTEN_AFTER, Tabs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tabs_with_clock():
    clock, ends = Clock(), []
    return Tabs(lambda: ends.append(clock.now), grace=5, clock=clock), clock, ends


def after(tabs, clock, seconds):
    clock.now += seconds
    tabs.check()


def test_the_program_ends_when_the_last_tab_is_closed():
    tabs, clock, ends = tabs_with_clock()
    after(tabs, clock, 1000)  # no tab was opened yet
    tabs.report("a")
    tabs.report("b")
    tabs.close("a")
    after(tabs, clock, 100)
    assert not ends
    tabs.close("b")
    after(tabs, clock, 4)
    assert not ends
    after(tabs, clock, 1)
    after(tabs, clock, 100)
    assert len(ends) == 1


def test_a_reload_is_no_end():
    tabs, clock, ends = tabs_with_clock()
    tabs.report("a")
    tabs.close("a")
    after(tabs, clock, 2)
    tabs.report("b")
    after(tabs, clock, 100)
    assert not ends


def test_a_tab_that_reports_nothing_is_forgotten():
    tabs, clock, ends = tabs_with_clock()
    tabs.report("a")
    after(tabs, clock, FORGOTTEN_AFTER - 1)
    tabs.report("a")
    after(tabs, clock, FORGOTTEN_AFTER - 1)
    assert not ends
    after(tabs, clock, 2)
    after(tabs, clock, 5)
    assert len(ends) == 1


def test_a_tab_that_is_forgotten_does_not_end_the_program_of_another():
    tabs, clock, ends = tabs_with_clock()
    tabs.report("crashed")
    after(tabs, clock, FORGOTTEN_AFTER - 60)
    tabs.report("open")
    after(tabs, clock, 61)
    assert list(tabs.seen) == ["open"]
    after(tabs, clock, 50)
    assert not ends


def test_a_tab_that_was_never_there_cannot_end_the_program():
    tabs, clock, ends = tabs_with_clock()
    tabs.close("x")
    after(tabs, clock, 100)
    tabs.report("a")
    tabs.close("x")
    after(tabs, clock, 100)
    assert not ends
