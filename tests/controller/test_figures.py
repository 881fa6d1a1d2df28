"""What HAProxy has counted."""

from controller.figures import read
from state.apps import Counters

HEAD = "# pxname,svname,stot,econ,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,\n"
STATISTICS = (
    f"{HEAD}place-02,s1,9,0,0,9,0,0,0,0,\nplace-02,BACKEND,12,1,0,8,1,2,3,0,\nplace-03,BACKEND,0,0,0,0,0,0,0,0,\n"
    "api,BACKEND,7,0,0,7,0,0,0,0,\nbrokers-next,BACKEND,40,2,,,,,,,\nwebsockets,BACKEND,5,0,5,0,0,0,0,0,\n\n"
)
TABLE = (
    "# table: figures, type: string, size:1024, used:2\n"
    "0x7f1: key=place-02 use=0 exp=0 conn_cur=7 gpc0=1 gpc1=2 gpc2=3 gpc3=0 gpc4=0 gpc5=0 gpc6=0 gpc7=0 gpc8=5 gpc9=0\n"
    "0x7f2: key=gone use=0 exp=0 gpc0=9 gpc1=0 gpc2=0 gpc3=0 gpc4=0 gpc5=0 gpc6=0 gpc7=0 gpc8=0 gpc9=0\n\n"
)


def test_answers_and_errors_are_those_of_the_backend_and_times_those_of_the_table() -> None:
    found = read(STATISTICS, TABLE)
    assert found[2] == Counters(answers=14, errors=3, by_time=(1, 2, 3, 0, 0, 0, 0, 0, 5, 0))
    assert found[3] == Counters(answers=0, errors=0, by_time=(0,) * 10)
    assert found[17].answers == 7


def test_of_a_broker_there_are_connections_and_no_times() -> None:
    assert read(STATISTICS, TABLE)[20] == Counters(answers=40, errors=2)


def test_what_is_no_place_is_not_counted() -> None:
    assert set(read(STATISTICS, TABLE)) == {2, 3, 17, 20}
