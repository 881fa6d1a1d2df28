// Who asks: BASIC, or the cookie of POST /_session; couch_httpd_auth.erl.
import { createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import { allow, badRequest, forbidden, Refusal, unauthorized } from './refusal.mjs'
import { fromJson } from './text.mjs'

const WRONG = 'Name or password is incorrect.'
const LOCKED = 'Account is temporarily locked due to multiple authentication failures'
const LOCKED_MS = 300_000
// Whoever is not logged in may ask these; chttpd:authenticate_request/1 and chttpd_auth_request:authorize_request_int/1.
const OPEN = new Set(['', '_up', '_session'])
const ADMIN = '_admin'
// couch_users_db.erl; CouchDB takes 600,000 iterations of another digest, and who tests has no time for that.
const ITERATIONS = 10
const NOBODY = { name: null, roles: [] }
export const USERS = '_users'
export const isAdmin = ({ roles }) => roles.includes(ADMIN)

export class Logins {
  // There is no server without an administrator since 3.0: couch_server, "Admin Party".
  constructor(settings, admins, secret, databases) {
    this.settings = settings
    this.databases = databases
    this.admins = admins
    this.secret = secret
    this.failures = new Map()
  }

  // Name and roles of who asks; of nobody the name is null. Raises what a wrong login is answered with, on every path.
  async whoAsks(request) {
    const [scheme, token] = (request.headers.authorization ?? '').split(' ')
    if (scheme === 'Basic' && token !== undefined) {
      if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(token)) {
        throw badRequest('Authorization header has invalid base64 value')
      }
      const [name, ...password] = Buffer.from(token, 'base64').toString().split(':')
      return this.checked(request, name, password.join(':'))
    }
    const cookie = /(?:^|;\s*)AuthSession=([^;]*)/.exec(request.headers.cookie ?? '')?.[1]
    return cookie ? this.ofCookie(cookie) : NOBODY
  }

  // chttpd_auth_request:authorize_request_int/1.
  allowed(user, { method, path }) {
    if (OPEN.has(path[0] ?? '') || isAdmin(user)) return
    const [name, second] = path
    const server = name.startsWith('_') && name !== USERS
    const names = name === '_all_dbs' && this.settings.get('chttpd', 'admin_only_all_dbs') === 'false'
    if (names && user.name !== null) return
    const whole = second === undefined && ['PUT', 'DELETE'].includes(method)
    if (server || (whole && !(user.name === null && path.exists))) throw unauthorized('You are not a server admin.')
    if (!path.exists) {
      if (user.name === null) throw unauthorized('You are not a server admin.')
      return
    }
    // db_authorization_check/1: couch_db:check_is_member/1.
    const { security } = this.databases.get(name)
    if (!(within(security.members, user) || within(security.admins, user))) {
      if (user.name === null) throw unauthorized('You are not authorized to access this db.')
      throw forbidden('You are not allowed to access this db.')
    }
  }

  // An administrator of the settings comes before a user of the same name.
  async known(name) {
    if (this.admins.has(name)) return { name, roles: [ADMIN], password: this.admins.get(name) }
    if (!this.databases.has(USERS)) return undefined
    const found = await this.databases.get(USERS).get(`org.couchdb.user:${name}`).catch(() => undefined)
    return found && { name, roles: found.roles, salt: found.salt, derived: found.derived_key }
  }

  async checked(request, name, password) {
    const found = await this.known(name)
    if (found === undefined) throw unauthorized(WRONG)
    // couch_auth_lockout.erl: after so many wrong passwords of a user from one address, the right one is refused as well,
    // until five minutes after the first of them.
    const [key, now] = [`${request.peer} ${name}`, Date.now()]
    const { count, then } = this.failures.get(key) ?? { count: 0, then: now }
    const failed = now - then < LOCKED_MS ? count : 0
    if (failed >= this.settings.number('chttpd_auth_lockout', 'threshold')) throw new Refusal(403, 'forbidden', LOCKED)
    const right = found.derived === undefined ? same(password, found.password) : same(derived(password, found.salt), found.derived)
    if (right) return found
    this.failures.set(key, { count: failed + 1, then: failed ? then : now })
    throw unauthorized(WRONG)
  }

  // cookie_auth_user/2: base64url of name:time:digest; time is in hexadecimal, in seconds.
  // The salt of the user is in it: another password ends all sessions.
  cookie({ name, salt = '' }) {
    const head = `${name}:${Math.floor(Date.now() / 1000).toString(16).toUpperCase()}:`
    return Buffer.concat([Buffer.from(head), this.digest(head, salt)]).toString('base64url')
  }

  async ofCookie(cookie) {
    const bytes = Buffer.from(cookie, 'base64url')
    const found = /^([^:]*):([0-9A-F]+):/.exec(bytes.toString('latin1'))
    if (!found) throw badRequest('Malformed AuthSession cookie. Please clear your cookies.')
    const age = Date.now() / 1000 - parseInt(found[2], 16)
    const user = await this.known(found[1])
    const right = this.digest(found[0], user?.salt ?? '')
    const sent = bytes.subarray(Buffer.byteLength(found[0], 'latin1'))
    return sent.equals(right) && age < this.timeout() && user ? user : NOBODY
  }

  digest(head, salt) {
    return createHmac('sha256', this.secret + salt).update(head).digest()
  }

  timeout() {
    return this.settings.number('chttpd_auth', 'timeout')
  }

  setCookie(value) {
    const ends = new Date(Date.now() + this.timeout() * 1000).toUTCString()
    return { 'Set-Cookie': `AuthSession=${value}; Version=1; Expires=${ends}; Max-Age=${this.timeout()}; Path=/; HttpOnly` }
  }

  // couch_httpd_auth:handle_session_req/1.
  async answer(request, user) {
    allow(request, 'GET,HEAD,POST,DELETE')
    if (request.method === 'DELETE') return { body: { ok: true }, headers: this.setCookie('') }
    if (request.method === 'POST') {
      const { name, password } = credentials(request)
      if (!name) throw badRequest('request body must contain a username')
      let found
      try {
        found = await this.checked(request, name, password ?? '')
      } catch (refusal) {
        throw Object.assign(refusal, { headers: this.setCookie('') })
      }
      return { body: { ok: true, name, roles: found.roles }, headers: this.setCookie(this.cookie(found)) }
    }
    const info = { authentication_handlers: ['cookie', 'default'] }
    if (user.name !== null) info.authenticated = request.headers.authorization ? 'default' : 'cookie'
    return { body: { ok: true, userCtx: { name: user.name, roles: user.roles }, info } }
  }
}

const credentials = (request) => {
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim()
  if (type === 'application/json') {
    const { name, username, password } = fromJson(request.body())
    return { name: name ?? username, password }
  }
  if (type === 'application/x-www-form-urlencoded') {
    const form = new URLSearchParams(request.body().toString())
    return { name: form.get('name') ?? form.get('username'), password: form.get('password') }
  }
  const reason = "Content-Type must be 'application/x-www-form-urlencoded' or 'application/json'"
  throw new Refusal(415, 'bad_content_type', reason)
}

const same = (one, other) => {
  const [left, right] = [one, other].map((each) => createHmac('sha256', 'compare').update(each).digest())
  return timingSafeEqual(left, right)
}

const derived = (password, salt) => pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256').toString('hex')

const within = ({ names = [], roles = [] } = {}, user) => names.includes(user.name) || roles.some((each) => user.roles.includes(each))

// couch_users_db:before_doc_update/3 and validate_doc_update of _design/_auth: a password is never kept as it is.
export const userToKeep = (document) => {
  if (document._deleted || document._id.startsWith('_design/')) return document
  const { password, ...rest } = document
  if (rest.type !== 'user') throw forbidden('doc.type must be user')
  if (!rest.name) throw forbidden('doc.name is required')
  if (!Array.isArray(rest.roles)) throw forbidden('doc.roles must exist')
  if (rest._id !== `org.couchdb.user:${rest.name}`) throw forbidden('Doc ID must be of the form org.couchdb.user:name')
  if (rest.roles.some((each) => typeof each !== 'string')) throw forbidden('doc.roles can only contain strings')
  if (rest.roles.some((each) => each.startsWith('_'))) throw forbidden('No system roles (starting with underscore) in users db.')
  if (password === undefined) return rest
  const salt = randomBytes(16).toString('hex')
  return { ...rest, password_scheme: 'pbkdf2', iterations: ITERATIONS, pbkdf2_prf: 'sha256', salt, derived_key: derived(password, salt) }
}
