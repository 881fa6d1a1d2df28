// A plan of IBM Cloudant: so many requests of a class in a sliding second, and 429 beyond. CouchDB has no such thing; it is
// off unless `[double] writes_per_second` and the like are set. IBM Cloud Docs, Cloudant, "Plans and provisioning" (classes)
// and "Error handling" (429: `too_many_requests`).
import { Refusal } from './refusal.mjs'

const QUESTIONS = new Set(['_find', '_view', '_all_docs', '_explain', '_changes', '_all_dbs'])

const classOf = (request) => {
  if (request.path.some((each) => QUESTIONS.has(each))) return 'query'
  return request.method === 'GET' || request.method === 'HEAD' ? 'read' : 'write'
}

export class Pace {
  #asked = { read: [], write: [], query: [] }

  constructor(settings) {
    this.settings = settings
  }

  check(request) {
    if (request.path[0] === '_node') return
    const kind = classOf(request)
    const rate = this.settings.number('double', { read: 'reads', write: 'writes', query: 'queries' }[kind] + '_per_second')
    if (rate === undefined) return
    const now = Date.now()
    const recent = (this.#asked[kind] = this.#asked[kind].filter((each) => each > now - 1000))
    if (recent.length >= rate) {
      const reason = `You've exceeded your current limit of ${rate} requests per second for ${kind} class. Please try later.`
      throw new Refusal(429, 'too_many_requests', reason, { class: kind, rate })
    }
    recent.push(now)
  }
}
