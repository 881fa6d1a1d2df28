// HTTP/1.1 as CouchDB speaks it, and which path is whose: chttpd.erl, chttpd_handlers, mochiweb.
import { createServer } from 'node:http'
import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { checkDatabaseName } from './names.mjs'
import { answerBulk, answerDocument, answerPost, read } from './documents.mjs'
import { answerExplain, answerFind, answerIndex } from './mango.mjs'
import { allow, badRequest, notFound, noDatabase, notInTheDouble, Refusal } from './refusal.mjs'
import { answerSecurity } from './rights.mjs'
import { answerConfig } from './settings.mjs'
import { fromJson, isObject } from './text.mjs'
import { answerAllDbs, answerAllDocs, answerAllDocsQueries, answerView } from './views.mjs'

const VERSION = '3.5.0'
const UNREADABLE = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'
// What CouchDB has below its root and in a database, and nobody here asks for.
const OTHERS = new Set(['_active_tasks', '_cluster_setup', '_db_updates', '_dbs_info', '_membership', '_node', '_reshard', '_replicate',
  '_scheduler', '_search_analyze', '_utils', '_uuids'])
const OTHERS_IN = new Set(['_auto_purge', '_bulk_get', '_changes', '_compact', '_design_docs', '_ensure_full_commit', '_local',
  '_local_docs', '_missing_revs', '_partition', '_purge', '_purged_infos', '_purged_infos_limit', '_revs_diff', '_revs_limit',
  '_search_cleanup', '_shards', '_sync_shards', '_view_cleanup'])

export const frontOf = (server) => {
  // mochiweb_http.erl: a request's head has 30 s, and an idle connection 300.
  const options = { keepAliveTimeout: 300_000, headersTimeout: 30_000, requestTimeout: 300_000, maxHeaderSize: 65_536 }
  const http = createServer(options, (incoming, outgoing) => serve(server, incoming, outgoing))
  // mochiweb says so of what it cannot parse, without a body.
  http.on('clientError', (error, socket) => socket.writable && socket.end(UNREADABLE))
  return http
}

const serve = async (server, incoming, outgoing) => {
  // The first line of a request has to fit mochiweb's buffer of 8 kB: observed on 3.5.0, 400 without a word.
  if (incoming.method.length + incoming.url.length > 8180) return incoming.socket.end(UNREADABLE)
  let answer
  try {
    answer = await answerTo(server, incoming)
  } catch (error) {
    answer = refusedWith(error)
    // What nobody has read of the body is not read any more: mochiweb_request:should_close/1.
    if (!incoming.complete && !incoming.taken) outgoing.shouldKeepAlive = false
  }
  send(incoming, outgoing, answer)
}

const refusedWith = (error) => {
  if (!(error instanceof Refusal)) {
    process.stderr.write(`${error.stack}\n`)
    error = new Refusal(500, 'unknown_error', String(error.message), { ref: 1 })
  }
  return { status: error.status, body: { error: error.error, reason: error.reason, ...error.more }, headers: error.headers }
}

const send = (incoming, outgoing, { status = 200, body, headers = {}, chunked = false }) => {
  const text = body === undefined ? '' : `${JSON.stringify(body)}\n`
  outgoing.statusCode = status
  outgoing.setHeader('Cache-Control', 'must-revalidate')
  if (body !== undefined) outgoing.setHeader('Content-Type', 'application/json')
  outgoing.setHeader('Server', `CouchDB/${VERSION} (double of the tests)`)
  outgoing.setHeader('X-Couch-Request-ID', randomBytes(5).toString('hex'))
  for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value)
  // Rows come in chunks; what is short and whole, and all that HEAD asks for, has a length.
  if (chunked && incoming.method !== 'HEAD') outgoing.write(text)
  else outgoing.setHeader('Content-Length', chunked ? 0 : Buffer.byteLength(text))
  outgoing.end(chunked || incoming.method === 'HEAD' ? undefined : text)
  if (!outgoing.shouldKeepAlive && !incoming.complete) outgoing.once('finish', () => incoming.socket.destroySoon())
}

const unquoted = (text) => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw badRequest('invalid_url_encoding')
  }
}

const answerTo = async (server, incoming) => {
  const { settings, logins, pace } = server
  const [rawPath, rawQuery] = incoming.url.split(/\?(.*)/s)
  const path = rawPath.split('/').filter(Boolean).map(unquoted)
  const request = {
    method: incoming.method,
    headers: incoming.headers,
    peer: incoming.socket.remoteAddress,
    query: new URLSearchParams(rawQuery ?? ''),
    path,
    address: (to) => `http://${incoming.headers.host ?? 'localhost'}${to}`,
  }
  path.exists = server.databases.has(path[0])
  const user = await logins.whoAsks(request)
  request.user = user
  logins.allowed(user, request)
  await withBody(server, incoming, request)
  pace.check(request)
  return route(server, request, user)
}

// couch_httpd:recv, chttpd:body/1 and chttpd:json_body_obj/1: when a handler gets to it, not before. To refuse by what is
// known before, that is looked at first.
const withBody = async (server, incoming, request) => {
  const [name, second] = request.path
  if (name && !name.startsWith('_') && second !== undefined && !server.databases.has(name)) throw noDatabase()
  if (name && !name.startsWith('_') && NEEDS_JSON.test(request.path.slice(1).join('/')) && request.method === 'POST') json(request)
  const expected = incoming.headers['transfer-encoding'] || Number(incoming.headers['content-length'] ?? 0) > 0
  const most = server.settings.number('chttpd', 'max_http_request_size')
  const parts = []
  let size = 0
  const tooLarge = () => new Refusal(413, 'too_large', 'the request entity is too large')
  if (Number(incoming.headers['content-length']) > most) throw tooLarge()
  if (expected) {
    for await (const part of incoming) {
      if ((size += part.length) > most) throw tooLarge()
      parts.push(part)
    }
  }
  incoming.taken = true
  const whole = Buffer.concat(parts)
  request.body = () => {
    if (incoming.headers['content-length'] === undefined && !expected) throw badRequest('Missing request body')
    return incoming.headers['content-encoding'] === 'gzip' ? unzipped(whole) : whole
  }
  let value
  request.value = () => (json(request), (value ??= fromJson(request.body())))
  request.json = () => fromJson(request.body())
  request.object = () => {
    if (!isObject(request.value())) throw badRequest('Request body must be a JSON object')
    return value
  }
}

const NEEDS_JSON = /^(?:_bulk_docs|_find|_explain|_index|_all_docs.*|_design\/[^/]+\/_view\/.*|)$/

// chttpd:validate_ctype/2.
const json = (request) => {
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim()
  if (type !== 'application/json') throw new Refusal(415, 'bad_content_type', 'Content-Type must be application/json')
}

const unzipped = (bytes) => {
  try {
    return gunzipSync(bytes)
  } catch {
    throw badRequest('Request body is not properly gzipped.')
  }
}

const route = async (server, request, user) => {
  const [name, ...rest] = request.path
  if (name === undefined) {
    allow(request, 'GET,HEAD')
    const uuid = server.settings.get('couchdb', 'uuid')
    return { body: { couchdb: 'Welcome', version: VERSION, git_sha: 'double', uuid, features: [], vendor: { name: 'tests' } } }
  }
  if (name === '_up') return { body: { status: 'ok', seeds: {} } }
  if (name === '_session') return server.logins.answer(request, user)
  if (name === '_all_dbs') return answerAllDbs(request, server.databases)
  if (name === '_node' && rest[1] === '_config') return answerConfig(request, server.settings, rest)
  if (OTHERS.has(name)) throw notInTheDouble(name)
  if (!rest.length) return answerDatabase(server, request, name)
  const database = server.databases.get(name)
  return within(database, () => answerWithin(server, request, database, rest))
}

// A database that goes away under a question is a database that is not there.
const within = (database, work) =>
  new Promise((resolve, reject) => {
    database.asking.add(reject)
    work().then(resolve, reject).finally(() => database.asking.delete(reject))
  })

// /{db}: chttpd_db:handle_request/1, create_db_req/2, delete_db_req/2, db_req/2.
const answerDatabase = async ({ databases, settings }, request, name) => {
  if (request.method === 'PUT') {
    checkDatabaseName(name)
    for (const each of ['q', 'n']) {
      if (request.query.has(each) && !/^[1-9]\d*$/.test(request.query.get(each))) {
        throw badRequest(`The \`${each}\` value should be a positive integer.`)
      }
    }
    if (request.query.get('partitioned') === 'true') throw notInTheDouble('partitioned databases')
    await databases.create(name)
    return { status: 201, body: { ok: true }, headers: { Location: request.address(`/${name}`) } }
  }
  if (request.method === 'DELETE') {
    if (request.query.has('rev')) {
      throw badRequest('You tried to DELETE a database with a ?=rev parameter. Did you mean to DELETE a document instead?')
    }
    await databases.drop(name)
    return { body: { ok: true } }
  }
  const database = databases.get(name)
  allow(request, 'DELETE,GET,HEAD,POST')
  if (request.method === 'POST') return answerPost(request, database, settings)
  return { body: await informationOf(database, name) }
}

const informationOf = async (database, name) => {
  const { doc_count: count, update_seq: now } = await database.info()
  if (database.counted?.now !== now) {
    const { results } = await database.changes({ since: 0 })
    database.counted = { now, deleted: results.filter((each) => each.deleted).length }
  }
  return {
    instance_start_time: String(database.made),
    db_name: name,
    purge_seq: '0-g1',
    update_seq: `${now}-g1`,
    sizes: { file: 0, external: 0, active: 0 },
    props: {},
    doc_del_count: database.counted.deleted,
    doc_count: count,
    disk_format_version: 8,
    compact_running: false,
    cluster: { q: 2, n: 1, w: 1, r: 1 },
  }
}

const answerWithin = async (server, request, database, [first, ...rest]) => {
  const { indexing, settings } = server
  if (first === '_design') {
    const [design, what, ...more] = rest
    if (design === undefined) throw notFound()
    if (what === undefined) return saved(await answerDocument(request, database, settings, `_design/${design}`), server, request, database, design)
    if (what === '_view' && more.length) return answerView(request, database, indexing, more.length ? [design, ...more] : [])
    if (what !== '_info') throw notInTheDouble(`_design/.../${what}`)
    allow(request, 'GET,HEAD')
    return { body: await indexing.info(database, await read(database, `_design/${design}`), design) }
  }
  if (first === '_all_docs' && rest[0] === 'queries') return answerAllDocsQueries(request, database)
  if (first === '_index') return answerIndex(request, database, indexing, rest)
  if (OTHERS_IN.has(first)) throw notInTheDouble(first)
  if (rest.length) throw request.method === 'GET' ? notFound('Document is missing attachment') : notInTheDouble('attachments')
  const answers = {
    _all_docs: () => answerAllDocs(request, database),
    _bulk_docs: () => answerBulk(request, database, settings),
    _find: () => answerFind(request, database, indexing),
    _explain: () => answerExplain(request, database),
    _security: () => answerSecurity(request, database, server.databases),
  }
  if (first in answers) return answers[first]()
  if (first.startsWith('_design/')) return { status: 301, headers: { Location: request.address(`/${database.called}/${first}`) } }
  return answerDocument(request, database, settings, first)
}

const saved = async (answer, { indexing }, request, database, design) => {
  if (answer.status === 201) indexing.begin(database, await read(database, `_design/${design}`))
  return answer
}
