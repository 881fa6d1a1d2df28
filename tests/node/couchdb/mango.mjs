// Questions by selector, and their indexes: mango_httpd.erl, mango_cursor.erl, mango_idx.erl.
import { createHash } from 'node:crypto'
import { matchesSelector } from './databases.mjs'
import { isAdmin } from './login.mjs'
import { allow, broken, notFound, notInTheDouble, Refusal } from './refusal.mjs'
import { indexableFields, isConstant, missingFields, range } from './selector.mjs'
import { findOptions, indexOptions } from './mango_options.mjs'
import { written } from './text.mjs'

const ALL_DOCS = { ddoc: null, name: '_all_docs', type: 'special', def: { fields: [{ _id: 'asc' }] } }
const NO_INDEX = 'No matching index found, create an index to optimize query time.'
// Between reading a design document and saving it: whoever comes in between is told so. On 3.5.0, of eight at once one to
// seven were; here, all that overlap by so much.
const RACE_MS = 25

const columns = (index) => index.def.fields.map((each) => Object.keys(each)[0])

const listed = async (database) => {
  const { rows } = await database.allDocs({ startkey: '_design/', endkey: '_design0', include_docs: true })
  const designs = rows.map((row) => row.doc).filter((doc) => doc.language === 'query')
  const indexes = designs.flatMap((doc) =>
    Object.entries(doc.views ?? {}).map(([name, view]) => ({
      ddoc: doc._id, name, type: 'json', partitioned: false, def: view.options.def, partial: view.map.partial_filter_selector, doc,
    })))
  return indexes.sort((one, other) => (one.ddoc + one.name < other.ddoc + other.name ? -1 : 1))
}

const shown = ({ ddoc, name, type, partitioned, def }) =>
  type === 'special' ? { ddoc, name, type, def } : { ddoc, name, type, partitioned, def }

export const answerIndex = async (request, database, indexing, path) => {
  if (path.length) return remove(request, database, path[0] === '_design' ? path.slice(1) : path)
  allow(request, 'GET,POST')
  if (request.method === 'GET') {
    if (request.query.has('limit') || request.query.has('skip')) throw notInTheDouble('_index by pages')
    const indexes = [ALL_DOCS, ...(await listed(database)).map(shown)]
    return { body: { total_rows: indexes.length, indexes } }
  }
  const { index, name, ddoc } = indexOptions(request.object())
  const def = { fields: index.fields.map(([field, direction]) => ({ [field]: direction })) }
  const auto = createHash('sha1').update(JSON.stringify(index)).digest('hex')
  const called = name ?? auto
  const view = {
    map: { fields: Object.fromEntries(index.fields), partial_filter_selector: index.partial_filter_selector },
    reduce: '_count',
    options: { def },
  }
  const id = `_design/${(ddoc ?? auto).replace(/^_design\//, '')}`
  const answer = (result) => ({ body: { result, id, name: called } })
  const design = await database.get(id).catch(() => ({ _id: id, language: 'query' }))
  if (design.language !== 'query') {
    const reason = `Existing design doc has an invalid language: ${written(['language', design.language]).replace('[', '{').replace(']', '}')}`
    throw new Refusal(400, 'invalid_ddoc_lang', reason)
  }
  // mango_idx:add/2.
  if (JSON.stringify(design.views?.[called]) === JSON.stringify(view)) return answer('exists')
  if (!isAdmin(request.user)) throw broken('error_saving_ddoc', 'Unknown error while saving the design document: unauthorized')
  await new Promise((resolve) => setTimeout(resolve, RACE_MS))
  const saved = await database.put({ ...design, views: { ...design.views, [called]: view } }).catch((error) => error)
  if (saved.ok) {
    indexing.begin(database, { ...design, _rev: saved.rev })
    return answer('created')
  }
  // mango_httpd:handle_index_req/2.
  if (saved.status === 409) throw broken('error_saving_ddoc', 'Encountered a conflict while saving the design document.')
  throw broken('error_saving_ddoc', `Unknown error while saving the design document: ${saved.reason}`)
}

const remove = async (request, database, [ddoc, type, name]) => {
  allow(request, 'DELETE')
  const index = (await listed(database)).find((each) => each.ddoc === `_design/${ddoc}` && each.name === name)
  if (!index || type !== 'json') throw notFound()
  if (!isAdmin(request.user)) throw broken('error_saving_ddoc', 'Unknown error while saving the design document: unauthorized')
  const { [name]: gone, ...views } = index.doc.views
  await database.put(Object.keys(views).length ? { ...index.doc, views } : { ...index.doc, _deleted: true })
  return { body: { ok: true } }
}

// mango_idx_view:can_use_sort/3.
const sorts = (cols, sort, selector) => {
  if (!sort.length) return true
  const constant = cols.findIndex((each) => each === sort[0] || !isConstant(selector, each))
  return constant >= 0 && sort.every((each, at) => cols[constant + at] === each)
}

// mango_idx_view:is_usable/3, mango_idx_special:is_usable/3, mango_idx:get_usable_indexes/4.
const usableIndexes = (indexes, selector, sort) => {
  const named = sort.map(([field]) => field)
  const usable = (index) => {
    const needed = columns(index).filter((each) => ![...named, '_id', '_rev'].includes(each))
    return missingFields(selector, needed).length === 0 && sorts(columns(index), named, selector)
  }
  const whole = !named.length || (named.join() === '_id' && indexableFields(selector).includes('_id'))
  return [...indexes.filter((each) => !Object.keys(each.partial ?? {}).length && usable(each)), ...(whole ? [ALL_DOCS] : [])]
}

// mango_cursor:create/4 and mango_cursor_view:choose_best_index/1: what is named, else the one that leaves least to filter.
const chosen = (usable, { use_index: [design, name], selector, allow_fallback: fallback }) => {
  const named = usable.filter((each) => each.ddoc === `_design/${design}` && (name === undefined || each.name === name))
  if (!(design !== undefined && named.length) && !fallback && !(design === undefined && usable.length > 1)) {
    const reason = design === undefined
      ? 'You must specify an index with the `use_index` parameter.'
      : `${[`_design/${design}`, name].filter(Boolean).join(', ')} specified by \`use_index\` could not be found or it is not suitable.`
    throw new Refusal(400, 'invalid_index', reason)
  }
  const constant = (index) => columns(index).findIndex((each) => !isConstant(selector, each))
  const left = (index) => columns(index).length - (constant(index) < 0 ? columns(index).length : constant(index))
  const from = named.length ? named : usable.filter((each) => each !== ALL_DOCS)
  const order = (one, other) =>
    left(one) - left(other) || columns(one).length - columns(other).length || (one.ddoc + one.name < other.ddoc + other.name ? -1 : 1)
  const index = from.sort(order)[0] ?? ALL_DOCS
  return { index, warning: warning(index, named, [design, name]) }
}

// mango_cursor:maybe_add_warning/4; how many documents were looked at is not counted here, so nothing warns of that.
const warning = (index, named, [design, name]) => {
  const unused = name === undefined
    ? `_design/${design} was not used because it does not contain a valid index for this query.`
    : `_design/${design}, ${name} was not used because it is not a valid index for this query.`
  const lines = [...(design !== undefined && !named.length ? [unused] : []), ...(index === ALL_DOCS ? [NO_INDEX] : [])]
  return lines.length ? lines.join('\n') : undefined
}

const planned = async (request, database) => {
  allow(request, 'POST')
  const options = findOptions(request.object())
  const indexes = await listed(database)
  const usable = usableIndexes(indexes, options.selector, options.sort)
  if (!usable.length) {
    throw new Refusal(400, 'no_usable_index', 'No index exists for this sort, try indexing by the sort fields.')
  }
  return { options, indexes, ...chosen(usable, options) }
}

export const answerFind = async (request, database, indexing) => {
  const { options, index, warning: warned } = await planned(request, database)
  const skip = options.skip + options.bookmark
  const docs = await answered(database, indexing, index, options, request.object().selector, skip)
  const bookmark = docs.length ? `g1-${skip + docs.length}` : 'nil'
  return { body: { docs, bookmark, ...(warned && { warning: warned }) }, chunked: true }
}

const answered = async (database, indexing, index, options, selector, skip) => {
  const { limit, sort, fields } = options
  if (!limit) return []
  if (index === ALL_DOCS) {
    const { rows } = await database.allDocs({ include_docs: true, descending: sort[0]?.[1] === 'desc' })
    const matching = rows.map((row) => row.doc).filter((doc) => !doc._id.startsWith('_design/') && matches(doc, selector))
    return matching.slice(skip, skip + limit).map((doc) => picked(doc, fields))
  }
  if (options.update && !options.stale) await indexing.upToDate(database, index.doc)
  else if (!(await indexing.isBegun(database, index.doc))) return []
  // PouchDB sorts by whole indexes alone; the columns before those that were asked for are constant.
  const direction = sort[0]?.[1] ?? 'asc'
  const asked = { selector, use_index: [index.ddoc, index.name], sort: columns(index).map((each) => ({ [each]: direction })), skip, limit }
  const { docs } = await database.find(asked)
  return docs.map((doc) => picked(doc, fields))
}

const matches = (doc, selector) => !Object.keys(selector).length || matchesSelector(doc, selector)

const picked = (doc, fields) => {
  if (!fields.length) return doc
  const found = {}
  for (const field of fields) {
    const path = field.split('.')
    const value = path.reduce((inner, name) => inner?.[name], doc)
    if (value === undefined) continue
    const last = path.pop()
    path.reduce((inner, name) => (inner[name] ??= {}), found)[last] = value
  }
  return found
}

// mango_cursor:explain/1.
export const answerExplain = async (request, database) => {
  const { options, indexes, index } = await planned(request, database)
  const { selector, bookmark, ...rest } = options
  const sort = Object.fromEntries(options.sort)
  const ranges = columns(index).map((each) => range(selector, each))
  const whole = index === ALL_DOCS
  const low = whole ? (ranges[0].low ?? null) : until(ranges.map((each) => each.low))
  const high = whole ? (ranges[0].high ?? '<MAX>') : [...until(ranges.map((each) => each.high)), '<MAX>']
  const reversed = options.sort[0]?.[1] === 'desc'
  return {
    body: {
      dbname: database.called,
      index: shown(index),
      partitioned: false,
      selector,
      opts: { ...rest, bookmark: 'nil', sort },
      limit: options.limit,
      skip: options.skip,
      fields: options.fields,
      index_candidates: [ALL_DOCS, ...indexes].filter((each) => each !== index).map((each) => ({ index: shown(each) })),
      selector_hints: [{ type: 'json', indexable_fields: indexableFields(selector), unindexable_fields: [] }],
      mrargs: {
        include_docs: true,
        view_type: 'map',
        reduce: false,
        partition: null,
        start_key: reversed ? high : low,
        end_key: reversed ? low : high,
        direction: reversed ? 'rev' : 'fwd',
        stable: false,
        update: options.update,
        conflicts: 'undefined',
      },
      covering: false,
    },
  }
}

const until = (bounds) => {
  const open = bounds.indexOf(undefined)
  return open < 0 ? bounds : bounds.slice(0, open)
}
