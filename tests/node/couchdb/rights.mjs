// Who may write what: `_security`, and validate_doc_update of design documents; couch_db.erl, validate_doc_update/3.
import vm from 'node:vm'
import { isAdmin, USERS, userToKeep } from './login.mjs'
import { allow, forbidden, Refusal, unauthorized } from './refusal.mjs'
import { isObject } from './text.mjs'

export const NO_ADMIN = 'You are not a db or server admin.'

// chttpd_db:db_req/2 of `_security`, couch_util:validate_security_object.
export const answerSecurity = (request, database, databases) => {
  allow(request, 'GET,HEAD,PUT')
  if (request.method !== 'PUT') return { body: database.security }
  if (!isAdmin(request.user)) throw unauthorized(NO_ADMIN)
  const wanted = request.object()
  for (const each of [wanted.members, wanted.admins]) {
    if (each !== undefined && !isObject(each)) throw new Refusal(400, 'bad_request', 'Bad security object')
  }
  databases.secure(database.called, wanted)
  return { body: { ok: true } }
}

// The documents as they are to be kept, and what refuses others, by document. What conflicts is nobody's to validate:
// couch_db:prep_and_validate_update/5 looks at revisions first.
export const prepared = async (request, database, documents) => {
  const refused = new Map()
  const keep = []
  const checks = await checksOf(database)
  const present = new Map()
  if (checks.length && documents.length) {
    const { rows } = await database.allDocs({ keys: documents.map((each) => each._id), include_docs: true })
    for (const row of rows) if (row.doc) present.set(row.id, row.doc)
  }
  for (const document of documents) {
    const old = present.get(document._id)
    try {
      if (document._id.startsWith('_design/')) {
        if (!isAdmin(request.user)) throw unauthorized(NO_ADMIN)
      } else if ((old?._rev ?? document._rev) === document._rev) {
        for (const check of checks) validate(check, document, old ?? null, request.user, database)
      }
      keep.push(database.called === USERS ? userToKeep(document) : document)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      refused.set(document, error)
    }
  }
  return { refused, keep }
}

const checksOf = async (database) => {
  const { rows } = await database.allDocs({ startkey: '_design/', endkey: '_design0', include_docs: true })
  return rows.map(({ doc }) => doc.validate_doc_update).filter((each) => typeof each === 'string')
}

const validate = (check, document, old, user, database) => {
  const context = { db: database.called, name: user.name, roles: user.roles }
  const args = JSON.stringify([document, old, context, database.security])
  const said = vm.runInNewContext(`try { (${check}).apply(null, ${args}); null } catch (error) { JSON.stringify(error) }`)
  if (said === null) return
  const { forbidden: no, unauthorized: unknown } = JSON.parse(said ?? '{}')
  if (unknown !== undefined) throw unauthorized(unknown)
  // Whatever else it throws is no permission either: couch_query_servers:validate_doc_update/5.
  throw forbidden(no ?? 'validate_doc_update failed')
}
