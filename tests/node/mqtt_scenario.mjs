// What a user of MQTT.js does, with two nodes in turn. Arguments: the URLs of the two, a prefix for names, the version.
import assert from 'node:assert/strict'
import mqtt from 'mqtt'

const [first, second, prefix, version] = process.argv.slice(2)
const old = version === '3'
let clients = 0

const connect = async (url, options = {}) => {
  const client = mqtt.connect(url, {
    clientId: `${prefix}${clients++}`,
    protocolVersion: Number(version),
    protocolId: old ? 'MQIsdp' : 'MQTT',
    reconnectPeriod: 0,
    connectTimeout: 5000,
    ...options,
  })
  const arrived = []
  let wake = () => {}
  client.on('message', (topic, payload, { qos, retain }) => {
    arrived.push({ topic, payload: payload.toString(), qos, retain })
    wake()
  })
  client.messages = async (count) => {
    while (arrived.length < count) await new Promise((resolve) => { wake = resolve })
    return arrived.splice(0, count)
  }
  client.connack = await new Promise((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
    client.once('close', () => reject(new Error('closed before CONNACK')))
  })
  return client
}

const topic = `${prefix}/node/t`
const subscriber = await connect(first)
const granted = await subscriber.subscribeAsync(`${prefix}/+/t`, { qos: 2 })
assert.deepEqual(granted.map(({ qos }) => qos), [2])
const publisher = await connect(second)
for (const qos of [0, 1, 2]) {
  await publisher.publishAsync(topic, `qos ${qos}`, { qos })
  assert.deepEqual(await subscriber.messages(1), [{ topic, payload: `qos ${qos}`, qos, retain: false }])
}

await publisher.publishAsync(topic, 'kept', { qos: 1, retain: true })
assert.equal((await subscriber.messages(1))[0].retain, false)
const later = await connect(first)
await later.subscribeAsync(`${prefix}/#`, { qos: 1 })
assert.deepEqual(await later.messages(1), [{ topic, payload: 'kept', qos: 1, retain: true }])
await publisher.publishAsync(topic, '', { qos: 1, retain: true })

const stored = { clientId: `${prefix}stored`, clean: false }
const away = await connect(second, stored)
await away.subscribeAsync(`${prefix}/away/#`, { qos: 2 })
await away.endAsync()
for (const qos of [1, 2]) await publisher.publishAsync(`${prefix}/away/t`, `waited ${qos}`, { qos })
const again = await connect(first, stored)
assert.equal(again.connack.sessionPresent, !old)
assert.deepEqual((await again.messages(2)).map(({ payload }) => payload), ['waited 1', 'waited 2'])

await Promise.all([subscriber, publisher, later, again].map((client) => client.endAsync()))
