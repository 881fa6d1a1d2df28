// Indexes are built in the background, from the moment that a design document is saved (ken), and a question waits until
// what it asks is up to date (couch_index:get_state/2): observed on 3.5.0, for minutes where there are many documents.
import { read } from './documents.mjs'

const STEP_MS = 20

export class Indexing {
  #states = new WeakMap()

  constructor(settings) {
    this.settings = settings
  }

  // Wait until an index has all that is in the database now.
  async upToDate(database, design) {
    const { update_seq: now } = await database.info()
    const state = this.#state(database, design)
    this.#build(database, state, design)
    state.waiting += 1
    try {
      while (state.built < now && !database.dropped) await new Promise((resolve) => setTimeout(resolve, STEP_MS))
    } finally {
      state.waiting -= 1
    }
  }

  // A design document was saved, or documents were.
  async begin(database, design) {
    if (this.settings.number('double', 'index_documents_per_second')) {
      this.#build(database, this.#state(database, design), design)
    }
  }

  // Whether there is anything in it yet, for who asks with `update=false`.
  async isBegun(database, design) {
    return this.#state(database, design).built > 0 || !(await database.info()).doc_count
  }

  // GET /{db}/_design/{name}/_info: couch_mrview_info and fabric_group_info.
  async info(database, design, name) {
    const { update_seq: now } = await database.info()
    const state = this.#state(database, design)
    const pending = Math.ceil(Math.max(now - state.built, 0))
    return {
      name,
      view_index: {
        updates_pending: { minimum: pending, preferred: pending, total: pending },
        waiting_commit: false,
        waiting_clients: state.waiting,
        updater_running: state.running,
        update_seq: Math.floor(state.built),
        sizes: { file: 0, external: 0, active: 0 },
        signature: design._rev.split('-')[1],
        purge_seq: 0,
        language: design.language ?? 'javascript',
        compact_running: false,
        collator_versions: ['153.120'],
      },
    }
  }

  #state(database, design) {
    if (!this.#states.has(database)) this.#states.set(database, new Map())
    const states = this.#states.get(database)
    const key = `${design._id} ${design._rev}`
    if (!states.has(key)) states.set(key, { built: 0, running: false, waiting: 0 })
    return states.get(key)
  }

  async #build(database, state, design) {
    if (state.running) return
    state.running = true
    try {
      let then = Date.now()
      for (;;) {
        const { update_seq: now } = await database.info()
        const rate = this.settings.number('double', 'index_documents_per_second') ?? Infinity
        state.built = rate === Infinity ? now : Math.min(now, state.built + (rate * (Date.now() - then)) / 1000)
        if (state.built >= now) return
        then = Date.now()
        await new Promise((resolve) => setTimeout(resolve, STEP_MS))
        await read(database, design._id)
      }
    } catch {
      // The design document is gone, or the database: there is nothing to wait for.
      state.built = Infinity
    } finally {
      state.running = false
    }
  }
}
