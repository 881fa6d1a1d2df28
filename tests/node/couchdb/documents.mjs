// One document at a time, and many: chttpd_db.erl.
import { randomBytes } from 'node:crypto'
import { checkDesign } from './design.mjs'
import { checkId, checkRevision } from './names.mjs'
import { allow, badRequest, broken, conflict, notFound, notInTheDouble, Refusal } from './refusal.mjs'
import { prepared } from './rights.mjs'
import { fromJson, isObject } from './text.mjs'

const MEMBERS = new Set(['_id', '_rev', '_deleted', '_attachments', '_revisions'])
// couch_doc:transfer_fields/3 knows these and leaves them out.
const LEFT_OUT = ['_revs_info', '_conflicts', '_deleted_conflicts', '_local_seq']
const CONFLICT = { error: 'conflict', reason: 'Document update conflict.' }

const newId = () => randomBytes(16).toString('hex')

// couch_doc:from_json_obj_validate/3; `name` is the id as an error of too many bytes tells it.
const checked = (document, most, name) => {
  if (!isObject(document)) throw badRequest('Document must be a JSON object')
  for (const member of LEFT_OUT) delete document[member]
  if ('_id' in document) checkId(document._id)
  if ('_rev' in document) checkRevision(document._rev)
  const unknown = Object.keys(document).find((each) => each.startsWith('_') && !MEMBERS.has(each))
  const wrong = unknown ?? ('_deleted' in document && typeof document._deleted !== 'boolean' ? '_deleted' : undefined)
  if (wrong) throw new Refusal(400, 'doc_validation', `Bad special document member: ${wrong}`)
  if (document._attachments) throw notInTheDouble('attachments')
  // couch_doc:validate_attachment_size, max_document_size: the size of the body as it is kept, so about that of its JSON.
  if (Buffer.byteLength(JSON.stringify(document)) > most) {
    throw new Refusal(413, 'document_too_large', name ?? document._id ?? '')
  }
  return document
}

// What PouchDB says of one document; couch_doc and chttpd:error_info/1 have these words.
const rowOf = (result, id) => {
  if (result.ok) return { ok: true, id: result.id, rev: result.rev }
  if (result.status === 409) return { id, ...CONFLICT }
  return { id, error: result.name ?? 'error', reason: result.message }
}

const write = async (request, database, document) => {
  const { refused, keep } = await prepared(request, database, [document])
  if (refused.has(document)) throw refused.get(document)
  const [result] = await database.bulkDocs(keep)
  if (result.ok) return result
  if (result.status === 409) throw conflict()
  throw broken(result.name, result.message)
}

// POST /{db}/_bulk_docs. One document that is malformed refuses the request; one that conflicts is a row of it.
export const answerBulk = async (request, database, settings) => {
  allow(request, 'POST')
  const { docs, new_edits: newEdits = true } = request.object()
  if (docs === undefined) throw badRequest('POST body must include `docs` parameter.')
  if (!Array.isArray(docs)) throw badRequest('`docs` parameter must be an array.')
  const most = settings.number('couchdb', 'max_document_size')
  for (const document of docs) checked(document, most)
  // Observed on 3.5.0: no clause for it.
  if (typeof newEdits !== 'boolean') throw broken('unknown_error', 'function_clause')
  if (!newEdits && docs.some((each) => !each._rev && !each._revisions)) {
    throw badRequest('When `new_edits: false`, the document needs `_rev` or `_revisions` specified')
  }
  for (const document of docs) document._id ??= newId()
  const refused = new Map(docs.filter((each) => each._id.startsWith('_design/')).flatMap((each) => designRow(each)))
  const rights = await prepared(request, database, docs.filter((each) => !refused.has(each)))
  for (const [document, { error, reason }] of rights.refused) refused.set(document, { id: document._id, error, reason })
  const kept = docs.filter((each) => !refused.has(each))
  const results = kept.length ? await database.bulkDocs(rights.keep, { new_edits: newEdits }) : []
  if (!newEdits) return { status: 201, body: results.map((each) => rowOf(each, each.id)) }
  const rows = new Map(kept.map((each, index) => [each, rowOf(results[index], each._id)]))
  return { status: 201, body: docs.map((each) => refused.get(each) ?? rows.get(each)) }
}

const designRow = (design) => {
  try {
    checkDesign(design)
    return []
  } catch ({ error, reason }) {
    return [[design, { id: design._id, error, reason }]]
  }
}

// POST /{db}: an id of the server's, where there is none.
export const answerPost = async (request, database, settings) => {
  const document = checked(request.value(), settings.number('couchdb', 'max_document_size'), '')
  document._id ??= newId()
  const { id, rev } = await write(request, database, document)
  return { status: 201, body: { ok: true, id, rev }, headers: { Location: request.address(`/${database.called}/${id}`) } }
}

// /{db}/{id} and /{db}/_design/{id}.
export const answerDocument = async (request, database, settings, id) => {
  allow(request, 'DELETE,GET,HEAD,POST,PUT,COPY')
  if (request.method === 'PUT') return put(request, database, settings, id)
  if (request.method === 'DELETE') return remove(request, database, id)
  // Forms and attachments of the old days; chttpd:validate_referer/1.
  if (request.method === 'POST') throw badRequest('Referer header required.')
  if (request.method === 'COPY') throw notInTheDouble('COPY')
  const { query } = request
  refuseOthers(query, 'attachments', 'atts_since', 'deleted_conflicts', 'latest', 'local_seq', 'meta', 'open_revs')
  if (query.has('rev')) checkRevision(query.get('rev'))
  const options = { rev: query.get('rev') ?? undefined }
  for (const name of ['conflicts', 'revs', 'revs_info']) options[name] = query.get(name) === 'true'
  const document = await read(database, id, options)
  const tag = `"${document._rev}"`
  if (request.headers['if-none-match'] === tag) return { status: 304, headers: { ETag: tag } }
  const { _id, _rev, ...rest } = document
  return { body: { _id, _rev, ...rest }, headers: { ETag: tag } }
}

export const read = async (database, id, options = {}) => {
  try {
    return await database.get(id, options)
  } catch (error) {
    if (error.status !== 404) throw error
    throw notFound(error.reason === 'deleted' ? 'deleted' : 'missing')
  }
}

const refuseOthers = (query, ...names) => {
  const asked = names.find((each) => query.has(each))
  if (asked) throw notInTheDouble(asked)
}

const put = async (request, database, settings, id) => {
  checkId(id)
  const { query } = request
  refuseOthers(query, 'batch', 'new_edits', 'w')
  // A PUT may leave its type out; chttpd_db:db_doc_req/3 reads whatever it is as JSON.
  const document = checked(fromJson(request.body()), settings.number('couchdb', 'max_document_size'), '')
  document._id = id
  if (query.has('rev')) {
    checkRevision(query.get('rev'))
    if (document._rev && document._rev !== query.get('rev')) {
      throw badRequest('Document rev from request body and query string have different values')
    }
    document._rev = query.get('rev')
  }
  if (id.startsWith('_design/')) checkDesign(document)
  const { rev } = await write(request, database, document)
  const headers = { ETag: `"${rev}"`, Location: request.address(`/${database.called}/${id}`) }
  return { status: document._deleted ? 200 : 201, body: { ok: true, id, rev }, headers }
}

const remove = async (request, database, id) => {
  const rev = request.query.get('rev') ?? request.headers['if-match']?.replaceAll('"', '')
  if (rev) checkRevision(rev)
  const { _rev } = await read(database, id)
  if (rev !== _rev) throw conflict()
  const done = await write(request, database, { _id: id, _rev, _deleted: true })
  return { body: { ok: true, id, rev: done.rev }, headers: { ETag: `"${done.rev}"` } }
}
