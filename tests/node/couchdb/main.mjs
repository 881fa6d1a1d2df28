// A strict double of CouchDB 3.5 for tests, where no CouchDB can be installed: it refuses what CouchDB refuses and answers as
// it does. docs/testing-with-couchdb.md says what it knows. It is no database to keep anything in.
//
// node main.mjs --port 5984 [--host 127.0.0.1] [--dir FOLDER] [FILE.ini ...]
//
// Without --dir, databases are in memory. An administrator comes from COUCHDB_USER and COUCHDB_PASSWORD, as with CouchDB's
// image, or from [admins] of a file. It says `ready` when it listens, and ends at SIGTERM.
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Databases } from './databases.mjs'
import { frontOf } from './front.mjs'
import { Indexing } from './indexing.mjs'
import { Logins } from './login.mjs'
import { Pace } from './pace.mjs'
import { Settings } from './settings.mjs'

const { values, positionals } = parseArgs({
  options: { port: { type: 'string' }, host: { type: 'string' }, dir: { type: 'string' } },
  allowPositionals: true,
})

const settings = new Settings(positionals)
const admins = new Map(Object.entries(settings.given.admins ?? {}))
const { COUCHDB_USER: user, COUCHDB_PASSWORD: password } = process.env
if (user && password) admins.set(user, password)
if (!admins.size) {
  // couch_app: since 3.0 there is no server that is everybody's.
  process.stderr.write('no admin is set: COUCHDB_USER and COUCHDB_PASSWORD, or [admins] of an .ini file\n')
  process.exit(1)
}
if (values.dir) mkdirSync(values.dir, { recursive: true })

const databases = new Databases(values.dir)
// Those that a node alone makes for itself: setup.erl, single_node.
if (settings.get('couchdb', 'single_node') === 'true') {
  for (const name of ['_replicator', '_users']) if (!databases.has(name)) await databases.create(name)
}
const secret = settings.get('chttpd_auth', 'secret') ?? randomBytes(16).toString('hex')
const http = frontOf({
  settings,
  databases,
  logins: new Logins(settings, admins, secret, databases),
  pace: new Pace(settings),
  indexing: new Indexing(settings),
})
const port = Number(values.port ?? settings.get('chttpd', 'port'))
http.listen(port, values.host ?? settings.get('chttpd', 'bind_address'), () => process.stdout.write('ready\n'))
process.on('SIGTERM', () => process.exit(0))
