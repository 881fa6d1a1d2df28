// What CouchDB says no with: chttpd.erl, error_info/1; the body is made by chttpd:send_error/5.

export class Refusal extends Error {
  constructor(status, error, reason, more = {}) {
    super(`${status} ${error}: ${reason}`)
    Object.assign(this, { status, error, reason, more })
  }
}

export const badRequest = (reason) => new Refusal(400, 'bad_request', reason)
export const badQuery = (reason) => new Refusal(400, 'query_parse_error', reason)
export const unauthorized = (reason) => new Refusal(401, 'unauthorized', reason)
export const forbidden = (reason) => new Refusal(403, 'forbidden', reason)
export const notFound = (reason = 'missing') => new Refusal(404, 'not_found', reason)
export const noDatabase = () => notFound('Database does not exist.')
export const conflict = () => new Refusal(409, 'conflict', 'Document update conflict.')
// chttpd:send_error/2 puts a `ref`, by which an operator finds it in the log, beside errors that have a stack.
export const broken = (error, reason) => new Refusal(500, error, reason, { ref: 3269388020 })
// CouchDB has it, and this does not: nobody may mistake that for an answer of CouchDB's.
export const notInTheDouble = (what) => new Refusal(501, 'not_in_the_double', `${what}: see docs/testing-with-couchdb.md`)

export const allow = (request, methods) => {
  // chttpd:send_method_not_allowed/2. HEAD is a GET, everywhere: chttpd:handle_request_int/1.
  if (methods.split(',').includes(request.method)) return
  throw Object.assign(new Refusal(405, 'method_not_allowed', `Only ${methods} allowed`), { headers: { Allow: methods } })
}
