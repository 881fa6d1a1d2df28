// What device.js does about facts: lines of JSON in, a line of JSON for each out. The argument is the path of device.js.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const { Device, is_inside, metres_between, outline_of } = await import(pathToFileURL(process.argv[2]))

const plain = (command) => {
  if (command.does !== 'publish') return command
  return { ...command, payload: JSON.parse(Buffer.from(command.payload, 'base64').toString()) }
}
const sizes = (commands) => commands.filter(({ does }) => does === 'publish').map(({ payload }) => payload.length)
let device
const asked = {
  device: ({ device_id, topic, policy }) => { device = new Device(device_id, topic, policy) },
  outline: ({ rings, etag, now }) => device.outline(rings, etag, now),
  fix: ({ fix, now }) => device.fix(fix, now),
  connected: ({ now }) => device.connected(now),
  lost: ({ now, chance }) => device.lost(now, chance),
  acknowledged: ({ packet, now }) => device.acknowledged(packet, now),
  tick: ({ now }) => device.tick(now),
  outline_of: ({ zones }) => outline_of(zones),
  is_inside: ({ rings, x, y }) => is_inside(rings, x, y),
  metres_between: ({ places }) => metres_between(...places),
}

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line)
  const answer = asked[question.fact](question)
  if (!Array.isArray(answer) || !answer.every((command) => command?.does)) {
    console.log(JSON.stringify(answer ?? null))
    continue
  }
  const { dropped, unsent, inside } = device
  console.log(JSON.stringify({ commands: answer.map(plain), sizes: sizes(answer), dropped, unsent, inside }))
}
