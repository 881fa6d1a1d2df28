"""What `python -m tests.times` makes of a report."""

from pathlib import Path

from tests.times import folder, seconds_by

REPORT = """<testsuites><testsuite>
<testcase classname="tests.api.test_keys" name="a" time="1.5"/>
<testcase classname="tests.api.test_keys" name="b" time="0.5"/>
<testcase classname="tests.api.test_map" name="c" time="3"/>
<testcase classname="tests.broker.cluster.test_nodes" name="d" time="4"/>
</testsuite></testsuites>"""


def test_seconds_are_added_up_by_folder_and_by_file_the_most_first(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert list(seconds_by(report, folder).items()) == [("api", (3, 5.0)), ("broker", (1, 4.0))]
    assert list(seconds_by(report, str)) == [
        "tests.broker.cluster.test_nodes",
        "tests.api.test_map",
        "tests.api.test_keys",
    ]
