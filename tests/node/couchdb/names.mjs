// Names and ids: fabric_db_create:validate_dbname/2 and mem3, couch_doc:validate_docid/2.
import { badRequest, Refusal } from './refusal.mjs'

const NAME = /^[a-z][a-z0-9_$()+/-]*$/
const SYSTEM = new Set(['_users', '_replicator', '_global_changes'])
// couch_db.hrl: MAX_DB_NAME_LENGTH less what a shard's file name adds.
const LONGEST = 238

export const checkDatabaseName = (name) => {
  if (!NAME.test(name) && !SYSTEM.has(name)) {
    const reason = `Name: '${name}'. Only lowercase characters (a-z), digits (0-9), and any of the characters _, $, (, ), +, -,`
      + ' and / are allowed. Must begin with a letter.'
    throw new Refusal(400, 'illegal_database_name', reason)
  }
  if (name.length > LONGEST) {
    throw new Refusal(400, 'database_name_too_long', `At least one path segment of \`${name}\` is too long.`)
  }
}

export const checkId = (id) => {
  const illegal = (reason) => new Refusal(400, 'illegal_docid', reason)
  if (typeof id !== 'string') throw illegal('Document id must be a string')
  if (id === '') throw illegal('Document id must not be empty')
  if (id.startsWith('_') && !id.startsWith('_design/') && !id.startsWith('_local/')) {
    throw illegal('Only reserved document ids may start with underscore.')
  }
}

// couch_doc:parse_rev/1.
export const checkRevision = (revision) => {
  if (typeof revision !== 'string' || !/^\d+-[0-9a-zA-Z]+$/.test(revision)) throw badRequest('Invalid rev format')
}
