// What rows are asked for: couch_mrview_http:parse_param/4 and couch_mrview_util:validate_args/1.
import { badQuery } from './refusal.mjs'
import { fromJson, printed } from './text.mjs'

const KEYS = { key: 'key', keys: 'keys', startkey: 'start', start_key: 'start', endkey: 'end', end_key: 'end' }
const IDS = { startkey_docid: 'startId', start_key_doc_id: 'startId', endkey_docid: 'endId', end_key_doc_id: 'endId' }
const FLAGS = new Set(['reduce', 'group', 'inclusive_end', 'include_docs', 'attachments', 'att_encoding_info', 'update_seq',
  'conflicts', 'sorted', 'descending'])
const NUMBERS = new Set(['limit', 'skip', 'group_level'])

// In a query everything is text, and keys are JSON in it; in a body everything is JSON already.
export const readArguments = (query, body) => {
  const found = { update: true }
  for (const [name, value] of Object.entries(body ?? {})) readOne(found, name, value, true)
  for (const [name, value] of query) readOne(found, name, value, false)
  return found
}

const readOne = (found, name, value, decoded) => {
  if (name in KEYS) {
    const key = decoded ? value : fromJson(value)
    // One key in a list is a range of one: parse_param/4, "keys".
    if (KEYS[name] === 'key') found.start = found.end = key
    else if (KEYS[name] === 'keys' && Array.isArray(key) && key.length === 1 && !decoded) found.start = found.end = key[0]
    else found[KEYS[name]] = key
  } else if (name in IDS) found[IDS[name]] = String(value)
  else if (FLAGS.has(name)) found[name] = flag(value)
  else if (NUMBERS.has(name)) found[name] = natural(value, decoded)
  else if (name === 'stale') stale(found, value)
  else if (name === 'stable') found.stable = oneOf(name, value, { true: true, false: false })
  else if (name === 'update') found.update = oneOf(name, value, { true: true, false: false, lazy: 'lazy' })
  // All else is for filters and list functions: parse_param/4 keeps it, and nothing refuses it.
}

const flag = (value) => {
  const text = String(value).toLowerCase()
  if ((typeof value === 'string' || typeof value === 'boolean') && (text === 'true' || text === 'false')) return text === 'true'
  throw badQuery(`Invalid boolean parameter: ${typeof value === 'string' ? JSON.stringify(value) : printed(value)}`)
}

const natural = (value, decoded) => {
  const whole = decoded ? Number.isInteger(value) : /^[+-]?\d+$/.test(value)
  const shown = decoded ? printed(value) : JSON.stringify(value)
  if (!whole) throw badQuery(`Invalid value for integer: ${shown}`)
  if (Number(value) < 0) throw badQuery(`Invalid value for positive integer: ${shown}`)
  return Number(value)
}

const oneOf = (name, value, meanings) => {
  if (!(String(value) in meanings)) throw badQuery(`Invalid value for \`${name}\`.`)
  return meanings[String(value)]
}

const stale = (found, value) => {
  found.update = oneOf('stale', value, { ok: false, update_after: 'lazy' })
}

// What does not go together. `reduces`: the view has a reduce function, and it is not switched off.
export const checkArguments = (found, { reduces = false } = {}) => {
  const grouped = found.group === true || found.group_level > 0
  if (!reduces && found.reduce === true) throw badQuery('Reduce is invalid for map-only views.')
  if (reduces && found.keys && found.group !== true) throw badQuery('Multi-key fetches for reduce views must use `group=true`')
  if (found.keys !== undefined && !Array.isArray(found.keys)) throw badQuery('`keys` must be an array of strings.')
  if (found.keys?.length && (found.start !== undefined || found.end !== undefined)) {
    throw badQuery('`keys` is incompatible with `key`, `start_key` and `end_key`')
  }
  if (!reduces && grouped) throw badQuery('Invalid use of grouping on a map view.')
  if (reduces && found.include_docs) throw badQuery('`include_docs` is invalid for reduce')
  if (reduces && found.conflicts !== undefined) throw badQuery('`conflicts` is invalid for reduce views.')
}
