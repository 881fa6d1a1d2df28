// A device on Node.js: fixes as lines of JSON on standard input, published as `device.js` says.
//
//   npm install mqtt
//   node device_node.mjs --broker wss://campus.example/mqtt --zones https://campus.example/v1/zones \
//     --device phone-7 --topic mobile-iotp [--username NAME]
//
// The password is in MQTT_PASSWORD; NODE_EXTRA_CA_CERTS names a file of authorities for TLS. It ends when its input has ended
// and all is acknowledged, with a line of JSON that says how many messages were sent and how many positions were given up.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Device } from './device.js'
import { drive } from './device_mqttjs.js'

const text = { type: 'string' }
const options = { broker: text, zones: text, device: text, topic: text, username: text, 'client-id': text }
const { values } = parseArgs({ options })
for (const name of ['broker', 'zones', 'device', 'topic']) {
  if (values[name] === undefined) {
    console.error(`--${name} is missing`)
    process.exit(2)
  }
}
// MQTT.js is found where it was installed: in the folder in which this is started.
const mqtt = createRequire(join(process.cwd(), 'package.json'))('mqtt')

const device = new Device(values.device, values.topic)
let messages = 0
let ended = false
let told = ''

let open
const known = new Promise((resolve) => { open = resolve })

const finish = () => {
  if (!ended || device.unsent > 0) return
  driver.stop()
  console.log(JSON.stringify({ messages, dropped: device.dropped }))
}
const driver = drive(device, {
  mqtt,
  broker: values.broker,
  zones: values.zones,
  client_id: values['client-id'] ?? `device-${values.device}`,
  username: values.username,
  password: process.env.MQTT_PASSWORD,
  on_message: () => { messages += 1 },
  on_state: (state) => {
    const now = JSON.stringify(state)
    if (now !== told) console.error(now)
    told = now
    if (state.outline === 'known') open()
    finish()
  },
})
// What is said before the campus is known would be forgotten.
await known
for await (const line of createInterface({ input: process.stdin })) driver.fix(JSON.parse(line))
ended = true
finish()
