// Who asks: BASIC, or the cookie of POST /_session; couch_httpd_auth.erl.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { allow, badRequest, Refusal, unauthorized } from './refusal.mjs'
import { fromJson } from './text.mjs'

const WRONG = 'Name or password is incorrect.'
const LOCKED = 'Account is temporarily locked due to multiple authentication failures'
const LOCKED_MS = 300_000
// Whoever is not logged in may ask these; chttpd:authenticate_request/1 and chttpd_auth_request:authorize_request_int/1.
const OPEN = new Set(['', '_up', '_session'])

export class Logins {
  // There is no server without an administrator since 3.0: couch_server, "Admin Party".
  constructor(settings, admins, secret) {
    this.settings = settings
    this.admins = admins
    this.secret = secret
    this.failures = new Map()
  }

  // The name of who asks; null for nobody. Raises what a wrong login is answered with, on every path.
  whoAsks(request) {
    const [scheme, token] = (request.headers.authorization ?? '').split(' ')
    if (scheme === 'Basic' && token !== undefined) {
      if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(token)) {
        throw badRequest('Authorization header has invalid base64 value')
      }
      const [name, ...password] = Buffer.from(token, 'base64').toString().split(':')
      return this.checked(request, name, password.join(':'))
    }
    const cookie = /(?:^|;\s*)AuthSession=([^;]*)/.exec(request.headers.cookie ?? '')?.[1]
    return cookie ? this.ofCookie(cookie) : null
  }

  allowed(user, path) {
    if (user !== null || OPEN.has(path[0] ?? '')) return
    // chttpd_auth_request:db_authorization_check/1 and server_authorization_check/1; a `_security` of 3.x is its admins' alone.
    const database = path.length && !path[0].startsWith('_')
    throw unauthorized(database && path.exists ? 'You are not authorized to access this db.' : 'You are not a server admin.')
  }

  checked(request, name, password) {
    const right = this.admins.get(name)
    if (right === undefined) throw unauthorized(WRONG)
    // couch_auth_lockout.erl: after so many wrong passwords of a user from one address, the right one is refused as well,
    // until five minutes after the first of them.
    const [key, now] = [`${request.peer} ${name}`, Date.now()]
    const { count, then } = this.failures.get(key) ?? { count: 0, then: now }
    const failed = now - then < LOCKED_MS ? count : 0
    if (failed >= this.settings.number('chttpd_auth_lockout', 'threshold')) throw new Refusal(403, 'forbidden', LOCKED)
    if (same(password, right)) return name
    this.failures.set(key, { count: failed + 1, then: failed ? then : now })
    throw unauthorized(WRONG)
  }

  // cookie_auth_user/2: base64url of name:time:digest; time is in hexadecimal, in seconds.
  cookie(name) {
    const head = `${name}:${Math.floor(Date.now() / 1000).toString(16).toUpperCase()}:`
    return Buffer.concat([Buffer.from(head), this.digest(head)]).toString('base64url')
  }

  ofCookie(cookie) {
    const bytes = Buffer.from(cookie, 'base64url')
    const found = /^([^:]*):([0-9A-F]+):/.exec(bytes.toString('latin1'))
    if (!found) throw badRequest('Malformed AuthSession cookie. Please clear your cookies.')
    const age = Date.now() / 1000 - parseInt(found[2], 16)
    const right = this.digest(found[0])
    const sent = bytes.subarray(Buffer.byteLength(found[0], 'latin1'))
    return sent.equals(right) && age < this.timeout() && this.admins.has(found[1]) ? found[1] : null
  }

  digest(head) {
    return createHmac('sha256', this.secret).update(head).digest()
  }

  timeout() {
    return this.settings.number('chttpd_auth', 'timeout')
  }

  setCookie(value) {
    const ends = new Date(Date.now() + this.timeout() * 1000).toUTCString()
    return { 'Set-Cookie': `AuthSession=${value}; Version=1; Expires=${ends}; Max-Age=${this.timeout()}; Path=/; HttpOnly` }
  }

  // couch_httpd_auth:handle_session_req/1.
  answer(request, user) {
    allow(request, 'GET,HEAD,POST,DELETE')
    if (request.method === 'DELETE') return { body: { ok: true }, headers: this.setCookie('') }
    if (request.method === 'POST') {
      const { name, password } = credentials(request)
      if (!name) throw badRequest('request body must contain a username')
      try {
        this.checked(request, name, password ?? '')
      } catch (refusal) {
        throw Object.assign(refusal, { headers: this.setCookie('') })
      }
      return { body: { ok: true, name, roles: ['_admin'] }, headers: this.setCookie(this.cookie(name)) }
    }
    const info = { authentication_handlers: ['cookie', 'default'] }
    if (user !== null) info.authenticated = request.headers.authorization ? 'default' : 'cookie'
    return { body: { ok: true, userCtx: { name: user, roles: user === null ? [] : ['_admin'] }, info } }
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
