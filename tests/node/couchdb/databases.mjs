// Databases, each a PouchDB of the packages that pouchdb-server is made of: in memory, or in a folder.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { noDatabase, Refusal } from './refusal.mjs'

const require = createRequire(createRequire(import.meta.url).resolve('pouchdb-server'))
export const { collate } = require('pouchdb-collate')
export const { matchesSelector } = require('pouchdb-selector-core')

// couch_db:get_security of 3.x: a new database is its administrators' alone.
const OF_ADMINS = { members: { roles: ['_admin'] }, admins: { roles: ['_admin'] } }

export class Databases {
  #open = new Map()
  #leaving = new Map()
  #list

  constructor(folder) {
    const kind = folder ? 'pouchdb-adapter-leveldb' : 'pouchdb-adapter-memory'
    const plugins = [kind, 'pouchdb-mapreduce', 'pouchdb-find'].map((name) => require(name))
    const PouchDB = plugins.reduce((made, plugin) => made.plugin(plugin), require('pouchdb-core'))
    this.PouchDB = PouchDB.defaults(folder ? { prefix: join(folder, '/') } : {})
    this.#list = folder && join(folder, 'databases.json')
    for (const [name, security] of this.#listed()) this.#make(name, security)
  }

  names() {
    return [...this.#open.keys()].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
  }

  has(name) {
    return this.#open.has(name)
  }

  get(name) {
    const found = this.#open.get(name)
    if (!found) throw noDatabase()
    return found
  }

  secure(name, security) {
    this.get(name).security = security
    this.#keep()
  }

  // Of several that make one at the same time, one does: observed on 3.5.0, eight at once.
  async create(name) {
    await this.#leaving.get(name)
    if (this.#open.has(name)) {
      throw new Refusal(412, 'file_exists', 'The database could not be created, the file already exists.')
    }
    const made = this.#make(name)
    this.#keep()
    await made.info()
  }

  async drop(name) {
    const database = this.get(name)
    this.#open.delete(name)
    this.#keep()
    database.dropped = true
    // PouchDB may leave a question to a database that goes away without an answer.
    for (const leave of database.asking) leave(noDatabase())
    const done = database.destroy().finally(() => this.#leaving.delete(name))
    this.#leaving.set(name, done)
    await done
  }

  #make(name, security = OF_ADMINS) {
    const database = new this.PouchDB(encodeURIComponent(name), { revs_limit: 1000 })
    this.#open.set(name, Object.assign(database, { made: Math.floor(Date.now() / 1000), called: name, asking: new Set(), security }))
    return database
  }

  #listed() {
    try {
      return this.#list ? JSON.parse(readFileSync(this.#list, 'utf8')) : []
    } catch (error) {
      if (error.code === 'ENOENT') return []
      throw error
    }
  }

  #keep() {
    if (!this.#list) return
    writeFileSync(`${this.#list}.new`, JSON.stringify([...this.#open.entries()].map(([name, { security }]) => [name, security])))
    renameSync(`${this.#list}.new`, this.#list)
  }
}
