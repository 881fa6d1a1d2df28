"""What drives a device waits by one clock and is told the time by another, which may run slower."""

import shutil
import subprocess
import time
from pathlib import Path
from queue import SimpleQueue

from simulator import device as device_module
from simulator.device import Device, Policy
from simulator.device_paho import DrivenDevice
from tests.conftest import free_port, missing

DRIVER = Path(device_module.__file__).with_name("device_mqttjs.js")
LIVE = """
const begun = Date.now();
const real = Date.now;
Date.now = () => begun + Math.floor((real() - begun) / 2);
const { Device } = await import(process.argv[1].replace("device_mqttjs", "device"));
const { drive } = await import(process.argv[1]);
let asked = 0;
globalThis.fetch = async () => {
  asked += 1;
  if (asked === 3) { console.log("asked three times"); process.exit(0); }
  throw new Error("nobody is there");
};
const device = new Device("phone-7", "mobile-iotp", { outline_retry_seconds: 0.2 });
drive(device, { mqtt: null, broker: "", zones: "", client_id: "" });
"""
LIMIT = 30.0


def test_a_device_in_python_that_is_woken_too_early_is_woken_again() -> None:
    begun = time.monotonic()
    said: SimpleQueue[str] = SimpleQueue()
    nobody = free_port()
    device = Device("phone-7", "mobile-iotp", Policy(outline_retry_seconds=1))

    with DrivenDevice(
        device,
        broker=f"mqtt://127.0.0.1:{nobody}",
        zones=f"http://127.0.0.1:{nobody}/v1/zones",
        client_id="phone-7",
        say=said.put,
        clock=lambda: 1_772_366_400_000 + int((time.monotonic() - begun) * 500),
    ):
        for _ in range(2):
            assert "refused" in said.get(timeout=LIMIT)


def test_a_device_in_javascript_that_is_woken_too_early_is_woken_again() -> None:
    node = shutil.which("node")
    if node is None:
        missing("Node.js", "apt install nodejs")

    done = subprocess.run(
        [node, "--input-type=module", "-e", LIVE, str(DRIVER)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )

    assert done.stdout == "asked three times\n", done.stderr
