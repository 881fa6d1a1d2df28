// What a design document may hold: couch_mrview_index and couch_mrview:validate/2.
import vm from 'node:vm'
import { Refusal } from './refusal.mjs'
import { isObject } from './text.mjs'

const BUILT_IN = new Set(['_sum', '_count', '_stats', '_approx_count_distinct'])

export const checkDesign = (design) => {
  if (design._deleted) return
  const invalid = (reason) => new Refusal(400, 'invalid_design_doc', reason)
  const { views = {}, language = 'javascript' } = design
  if (!isObject(views)) throw invalid('`views` field must have object type')
  for (const [name, view] of Object.entries(views)) {
    if (!isObject(view)) throw invalid(`\`views.${name}\` field must have object type`)
    if (view.map === undefined) throw invalid(`View \`${name}\` must contain map function`)
    if (language === 'query' ? !isObject(view.map) : typeof view.map !== 'string') {
      throw invalid(`\`views.${name}.map\` field must have ${language === 'query' ? 'object' : 'string'} type`)
    }
    if (view.reduce?.startsWith('_') && !BUILT_IN.has(view.reduce)) {
      throw invalid(`\`${view.reduce}\` is not a supported reduce function.`)
    }
    if (language === 'javascript') compiled(name, view.map)
  }
}

const compiled = (name, map) => {
  try {
    new vm.Script(`(${map})`)
  } catch (error) {
    const reason = `Compilation of the map function in the '${name}' view failed: SyntaxError: ${error.message} (${map})`
    throw new Refusal(400, 'compilation_error', reason)
  }
}
