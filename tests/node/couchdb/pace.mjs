// A plan of IBM Cloudant: so many units of a class in a sliding second, and 429 beyond. CouchDB has no such thing; it is off
// unless `[double] writes_per_second` and the like are set. The classes, the second and that one request may use many units:
// IBM Cloud Docs, Cloudant, "Provisioned throughput capacity model FAQ". The words: github.com/cloudant/nodejs-cloudant, 184.
import { Refusal } from './refusal.mjs'

const QUESTIONS = new Set(['_find', '_view', '_all_docs', '_explain', '_all_dbs'])
const SETTINGS = { read: 'reads_per_second', write: 'writes_per_second', query: 'queries_per_second' }

const classOf = (request) => {
  if (request.path.some((each) => QUESTIONS.has(each))) return 'query'
  return request.method === 'GET' || request.method === 'HEAD' ? 'read' : 'write'
}

// Each document is one.
const unitsOf = (request) => {
  if (request.path[1] !== '_bulk_docs') return 1
  const { docs } = request.object()
  return Array.isArray(docs) ? docs.length : 1
}

export class Pace {
  #used = { read: [], write: [], query: [] }

  constructor(settings) {
    this.settings = settings
  }

  // What comes while the class is not used up yet is served, whatever it takes.
  check(request) {
    const kind = classOf(request)
    const rate = this.settings.number('double', SETTINGS[kind])
    if (rate === undefined || request.path[0] === '_node') return
    const now = Date.now()
    const recent = (this.#used[kind] = this.#used[kind].filter((each) => each.then > now - this.settings.number('double', 'second_ms')))
    if (recent.reduce((sum, each) => sum + each.units, 0) >= rate) {
      const reason = `You've exceeded your current limit of ${rate} requests per second for ${kind} class. Please try later.`
      throw new Refusal(429, 'too_many_requests', reason, { class: kind, rate })
    }
    recent.push({ then: now, units: unitsOf(request) })
  }
}
