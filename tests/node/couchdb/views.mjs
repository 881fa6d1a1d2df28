// Rows: _all_dbs, _all_docs and views. chttpd_misc:handle_all_dbs_req/1, chttpd_db:all_docs_view/4, chttpd_view.erl.
import { checkArguments, readArguments } from './arguments.mjs'
import { collate } from './databases.mjs'
import { read } from './documents.mjs'
import { allow, badQuery, badRequest, notFound, notInTheDouble } from './refusal.mjs'

// couch_mrview_util:check_range/2.
const EMPTY_RANGE = 'No rows can match your key range, reverse your start_key and end_key or set descending=true'

// Ids are compared as bytes; a key that is no string comes before or after all of them.
const below = (id, key) => (typeof key === 'string' ? Buffer.compare(Buffer.from(id), Buffer.from(key)) : collate(id, key))

const inRange = (id, { start, end, descending, inclusive_end: inclusive = true }) => {
  const sign = descending ? -1 : 1
  if (start !== undefined && sign * below(id, start) < 0) return false
  if (end === undefined) return true
  const after = sign * below(id, end)
  return after < 0 || (after === 0 && inclusive)
}

const cut = (rows, { skip = 0, limit = Infinity }) => rows.slice(skip, skip + limit)

export const answerAllDbs = (request, databases) => {
  allow(request, 'GET,HEAD')
  const asked = readArguments(request.query)
  const names = databases.names().filter((name) => inRange(name, asked))
  if (asked.descending) names.reverse()
  return { body: cut(names, asked), chunked: true }
}

const bodyOf = (request) => {
  const body = request.object()
  if ('keys' in body && !Array.isArray(body.keys)) {
    throw badRequest(`\`keys\` ${request.path.at(-1) === '_all_docs' ? 'body member' : 'member'} must be an array.`)
  }
  return body
}

const queriesOf = (request) => {
  allow(request, 'POST')
  const { queries } = request.object()
  if (queries === undefined) throw badRequest('POST body must include `queries` parameter.')
  if (!Array.isArray(queries)) throw badRequest('`queries` member must be an array.')
  return queries
}

export const answerAllDocs = async (request, database) => {
  allow(request, 'GET,HEAD,POST')
  const asked = readArguments(request.query, request.method === 'POST' ? bodyOf(request) : undefined)
  return { body: await allDocs(database, asked), chunked: true }
}

export const answerAllDocsQueries = async (request, database) => {
  const results = []
  for (const each of queriesOf(request)) results.push(await allDocs(database, readArguments(request.query, each)))
  return { body: { results }, chunked: true }
}

const allDocs = async (database, asked) => {
  checkArguments({ ...asked, keys: undefined })
  const options = { include_docs: asked.include_docs, conflicts: asked.conflicts }
  const { doc_count: total } = await database.info()
  if (asked.keys) {
    const keys = cut(asked.descending ? [...asked.keys].reverse() : asked.keys, asked)
    const { rows } = keys.length ? await database.allDocs({ ...options, keys }) : { rows: [] }
    return { total_rows: total, offset: null, rows }
  }
  const { start, end, descending, inclusive_end: inclusive = true } = asked
  const nothing = [start, end].some((key) => key !== undefined && typeof key !== 'string')
  const range = nothing ? {} : { startkey: start, endkey: end, inclusive_end: inclusive }
  const wanted = nothing ? {} : { skip: asked.skip, limit: asked.limit }
  for (const each of [range, wanted]) for (const name in each) if (each[name] === undefined) delete each[name]
  const found = await database.allDocs({ ...options, ...range, ...wanted, descending })
  const rows = nothing ? cut(found.rows.filter((row) => inRange(row.id, asked)), asked) : found.rows
  return { total_rows: total, offset: asked.skip ?? 0, rows }
}

// /{db}/_design/{name}/_view/{view}, and /queries below it.
export const answerView = async (request, database, indexing, [name, view, more]) => {
  if (more !== undefined && more !== 'queries') throw notFound()
  if (!more) allow(request, 'GET,POST,HEAD')
  const design = await read(database, `_design/${name}`)
  const found = design.views?.[view]
  if (!found) throw notFound('missing_named_view')
  if (design.language === 'query') throw notInTheDouble('rows of a Mango index as those of a view')
  const ask = (asked) => rowsOf(database, indexing, design, name, view, asked)
  if (more) {
    const results = []
    for (const each of queriesOf(request)) results.push(await ask(readArguments(request.query, each)))
    return { body: { results }, chunked: true }
  }
  const body = request.method === 'POST' ? bodyOf(request) : undefined
  return { body: await ask(readArguments(request.query, body)), chunked: true }
}

const rowsOf = async (database, indexing, design, name, view, asked) => {
  const reduces = Boolean(design.views[view].reduce) && asked.reduce !== false
  // parse_body_and_query/3: one key in a body is a range of one.
  if (asked.keys?.length === 1) Object.assign(asked, { start: asked.keys[0], end: asked.keys[0], keys: undefined })
  checkArguments(asked, { reduces })
  const { start, end, descending = false } = asked
  if (start !== undefined && end !== undefined && (descending ? -1 : 1) * collate(start, end) > 0) {
    throw Object.assign(badQuery(EMPTY_RANGE), { more: { ref: 72864418 } })
  }
  if (asked.update === true) await indexing.upToDate(database, design)
  else if (asked.update === 'lazy') indexing.begin(database, design)
  return reduces ? reduced(database, name, view, asked) : mapped(database, name, view, asked)
}

const optionsOf = ({ start, end, descending, inclusive_end: inclusive, keys, update }) => {
  const options = { startkey: start, endkey: end, descending, inclusive_end: inclusive, keys }
  for (const each in options) if (options[each] === undefined) delete options[each]
  return update === true ? options : { ...options, stale: update === 'lazy' ? 'update_after' : 'ok' }
}

const reduced = async (database, name, view, asked) => {
  const { group, group_level: level } = asked
  const grouping = group ? { group } : level ? { group_level: level } : {}
  const { rows } = await database.query(`${name}/${view}`, { ...optionsOf(asked), ...grouping, reduce: true })
  return { rows: cut(rows, asked) }
}

const mapped = async (database, name, view, asked) => {
  const { startId, skip, limit, include_docs: whole = false, conflicts = false, descending = false } = asked
  const page = startId === undefined ? Object.fromEntries(Object.entries({ skip, limit }).filter(([, n]) => n !== undefined)) : {}
  const options = { ...optionsOf(asked), ...page, include_docs: whole, conflicts, reduce: false }
  const { total_rows: total, offset, rows } = await database.query(`${name}/${view}`, options)
  // Rows of the very first key begin at an id; PouchDB has no such thing.
  const begins = (row) => collate(row.key, asked.start) !== 0 || (descending ? row.id <= startId : row.id >= startId)
  const found = startId === undefined || asked.start === undefined ? rows : rows.filter(begins)
  const order = whole ? ({ id, key, value, doc }) => ({ id, key, value, doc }) : ({ id, key, value }) => ({ id, key, value })
  return { total_rows: total, offset, rows: (startId === undefined ? found : cut(found, asked)).map(order) }
}
