// What may be in the body of _find, _explain and _index: mango_opts.erl, mango_sort.erl, mango_fields.erl, mango_error.erl.
import { broken, Refusal } from './refusal.mjs'
import { normalized } from './selector.mjs'
import { isObject, printed, written } from './text.mjs'

const no = (error, reason) => new Refusal(400, error, reason)
const boolean = (value) => {
  if (typeof value !== 'boolean') throw no('invalid_boolean', `Invalid boolean value: ${written(value)}`)
  return value
}
const natural = (value) => {
  if (Number.isInteger(value) && value >= 0) return value
  throw no('invalid_non_neg_integer', `${written(value)} is not an integer greater than or equal to zero`)
}
const positive = (value) => {
  if (Number.isInteger(value) && value > 0) return value
  throw no('invalid_pos_integer', `${written(value)} is not an integer greater than zero`)
}
const text = (value) => {
  if (typeof value !== 'string') throw no('invalid_string', `Invalid string: ${written(value)}`)
  return value
}
const name = (value) => {
  if (value === '') throw no('invalid_empty_string', 'Index name or ddoc cannot be empty string')
  return text(value)
}
const selector = (value) => {
  if (isObject(value)) return normalized(value)
  throw no('invalid_selector_json', `Selector must be a JSON object, not: ${written(value)}`)
}

const useIndex = (value) => {
  const parts = typeof value === 'string' ? value.replace(/^_design\//, '').split('/') : (value ?? [])
  const right = Array.isArray(parts) && parts.length <= 2 && parts.every((each) => typeof each === 'string')
  if (!right) throw no('invalid_index_name', `Invalid index name: ${written(value)}`)
  return parts.map((each) => each.replace(/^_design\//, ''))
}

// Pairs of a field and a direction, in order: mango_sort:new/1.
export const sort = (value) => {
  if (!Array.isArray(value)) throw no('invalid_sort_json', `Sort must be an array of sort specs, not: ${printed(value)}`)
  const pairs = value.map((each) => {
    if (typeof each === 'string' && each !== '') return [each, 'asc']
    const [[field, direction] = [], ...more] = isObject(each) ? Object.entries(each) : []
    if (['asc', 'desc'].includes(direction) && !more.length) return [field, direction]
    throw no('invalid_sort_field', `Invalid sort field: ${printed(each)}`)
  })
  if (new Set(pairs.map(([, direction]) => direction)).size < 2) return pairs
  throw no('unsupported_mixed_sort', 'Sorts currently only support a single direction for all fields.')
}

const fields = (value) => {
  if (!Array.isArray(value)) throw no('invalid_fields', `Fields must be an array of strings, not: ${written(value)}`)
  const wrong = value.find((each) => typeof each !== 'string')
  if (wrong !== undefined) throw no('invalid_field', `Invalid JSON for field spec: ${written(wrong)}`)
  return value
}

// Of our own making: how many rows were seen already. CouchDB's are as opaque.
const bookmark = (value) => {
  if (value === null || value === '') return 0
  // Observed on 3.5.0: no words for it.
  if (typeof value !== 'string') throw unknown(`{invalid_bookmark,${written(value)}}`)
  const found = /^g1-(\d+)$/.exec(value)
  if (!found) throw no('invalid_bookmark', `Invalid bookmark value: ${JSON.stringify(value)}`)
  return Number(found[1])
}

const stale = (value) => {
  if (value === 'ok') return true
  if (value === 'false' || value === false) return false
  throw unknown(`{invalid_ok_or_false_value,${written(value)}}`)
}

const partitioned = (value) => {
  if (typeof value !== 'boolean') throw unknown(`{invalid_partitioned_value,${written(value)}}`)
  if (value) throw broken('error_saving_ddoc', 'Unknown error while saving the design document: invalid_design_doc')
  return value
}

const unknown = (what) => broken('unknown_error', `Unknown Error: mango_opts :: ${what}`)

const FIND = {
  selector: [selector],
  use_index: [useIndex, []],
  bookmark: [bookmark, ''],
  limit: [natural, 25],
  skip: [natural, 0],
  sort: [sort, []],
  fields: [fields, []],
  partition: [text, ''],
  r: [positive, 1],
  conflicts: [boolean, false],
  stale: [stale, false],
  update: [boolean, true],
  stable: [boolean, false],
  execution_stats: [boolean, false],
  allow_fallback: [boolean, true],
}
const INDEX = {
  index: [(value) => value],
  type: [text, 'json'],
  name: [name, null],
  ddoc: [name, null],
  w: [positive, 2],
  partitioned: [partitioned, false],
}
const DEFINITION = { fields: [sort], partial_filter_selector: [selector, {}] }

// mango_opts:validate/2. Each known member in turn, then what is not known.
const validated = (body, known) => {
  const found = {}
  for (const [member, [check, fallback]] of Object.entries(known)) {
    if (member in body) found[member] = check(body[member])
    else if (fallback === undefined) throw no('missing_required_key', `Missing required key: ${member}`)
    else found[member] = fallback === null ? null : check(fallback)
  }
  const strange = Object.keys(body).find((member) => !(member in known))
  if (strange !== undefined) throw no('invalid_key', `Invalid key ${strange} for this request.`)
  return found
}

export const findOptions = (body) => validated(body, FIND)

export const indexOptions = (body) => {
  const found = validated(body, INDEX)
  // mango_idx:idx_mod/1: search needs a server of its own, which compose has none of.
  if (['text', 'nouveau'].includes(found.type)) throw new Refusal(503, 'required index service unavailable', found.type)
  if (found.type !== 'json') throw no('invalid_index', `Invalid type for index: ${found.type}`)
  if (!isObject(found.index)) throw no('invalid_index', `JSON indexes must be an object, not: ${written(found.index)}`)
  return { ...found, index: validated(found.index, DEFINITION) }
}
