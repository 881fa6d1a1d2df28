// Settings as CouchDB keeps them: .ini files, and /_node/_local/_config/{section}/{key} while it runs.
import { readFileSync } from 'node:fs'
import { allow, badRequest, notFound, Refusal } from './refusal.mjs'

// default.ini of 3.5. `double` is ours alone: what a slow or a metered server does.
//   index_documents_per_second   how fast an index is built; unset: at once
//   {writes,reads,queries}_per_second   a plan of Cloudant's; unset: none
//   second_ms   how long a second of it is, for a test that would else depend on its own speed
const DEFAULTS = {
  couchdb: { max_document_size: '8000000', uuid: '0d0b1e00000000000000000000000000' },
  chttpd: { port: '5984', bind_address: '127.0.0.1', max_http_request_size: '4294967296' },
  chttpd_auth: { timeout: '600' },
  chttpd_auth_lockout: { threshold: '5' },
  mango: { default_limit: '25' },
  double: { second_ms: '1000' },
}

export class Settings {
  constructor(files) {
    this.given = {}
    for (const file of files) this.read(readFileSync(file, 'utf8'))
  }

  read(text) {
    let section
    for (const line of text.split('\n').map((each) => each.trim())) {
      if (!line || line.startsWith(';')) continue
      const head = /^\[(.+)\]$/.exec(line)
      if (head) section = head[1]
      else {
        const at = line.indexOf('=')
        if (at < 0 || !section) throw new Error(`not a line of an .ini file: ${line}`)
        this.set(section, line.slice(0, at).trim(), line.slice(at + 1).trim())
      }
    }
  }

  set(section, key, value) {
    ;(this.given[section] ??= {})[key] = value
  }

  get(section, key) {
    return this.given[section]?.[key] ?? DEFAULTS[section]?.[key]
  }

  number(section, key) {
    const value = this.get(section, key)
    return value === undefined ? undefined : Number(value)
  }
}

// chttpd_node:handle_node_req/1. It shows what files and requests have set; defaults that are only in the code are unknown.
export const answerConfig = (request, settings, [node, , section, key]) => {
  if (node !== '_local') throw new Refusal(412, 'nodedown', `${node} is down`)
  if (!section) throw notFound('unknown_config_value')
  if (!key) {
    allow(request, 'GET')
    return { body: settings.given[section] ?? {} }
  }
  allow(request, 'GET,PUT,DELETE')
  const value = settings.given[section]?.[key]
  if (request.method === 'PUT') {
    const wanted = request.json()
    if (typeof wanted !== 'string') throw badRequest('a JSON string expected')
    settings.set(section, key, wanted)
    return { body: value ?? '' }
  }
  if (value === undefined) throw notFound('unknown_config_value')
  if (request.method === 'DELETE') delete settings.given[section][key]
  return { body: value }
}
