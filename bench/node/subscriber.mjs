// The subscriber that one would write in an afternoon: node subscriber.mjs PORT DATABASE CAMPUS
// PORT is that of MQTT, DATABASE the URL of a database of CouchDB, CAMPUS a campus file; COUCHDB_LOGIN is user:password.
// MQTT.js with a persistent session at QoS 1, documents in batches to _bulk_docs, tried again for ever; ids make a position
// that comes twice one document. What was taken and not yet written is lost when it is killed.
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import mqtt from 'mqtt'

const [port, database, campus] = process.argv.slice(2)
const { features } = JSON.parse(readFileSync(campus, 'utf8'))
const { geometry } = features.find((feature) => feature.properties.role === 'boundary')
const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates
const authorization = `Basic ${Buffer.from(process.env.COUCHDB_LOGIN).toString('base64')}`
const BATCH = 200

const inRing = (ring, x, y) => {
  let inside = false
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [ring[i], ring[j]]
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside
  }
  return inside
}
const onCampus = (x, y) => polygons.some(([outer, ...holes]) => inRing(outer, x, y) && !holes.some((hole) => inRing(hole, x, y)))

const waiting = []
const client = mqtt.connect({ host: '127.0.0.1', port: Number(port), clientId: 'subscriber', clean: false })
client.on('connect', () => client.subscribe(['car-iotp', 'mobile-iotp'], { qos: 1 }))
client.on('error', () => {})
client.on('message', (topic, payload) => {
  try {
    const feature = JSON.parse(Buffer.from(payload.toString(), 'base64').toString())
    const [longitude, latitude] = feature.geometry.coordinates
    const { device_id: device, timestamp } = feature.properties
    if (onCampus(longitude, latitude)) waiting.push({ _id: `${device}:${timestamp}`, topic, ...feature })
  } catch {}
})

while (true) {
  if (waiting.length < BATCH) await pause(waiting.length ? 50 : 10)
  const docs = waiting.splice(0, BATCH)
  while (docs.length) {
    try {
      const answer = await fetch(`${database}/_bulk_docs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ docs }),
        signal: AbortSignal.timeout(30_000),
      })
      await answer.text()
      if (answer.ok) break
    } catch {}
    await pause(500)
  }
}
