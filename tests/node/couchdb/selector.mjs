// Selectors: mango_selector.erl and mango_idx_view.erl, as far as they decide which index serves a question.
import { collate } from './databases.mjs'
import { Refusal } from './refusal.mjs'
import { isObject, written } from './text.mjs'

const badArgument = (operator, value) =>
  new Refusal(400, 'bad_arg', `Bad argument for operator ${operator}: ${written(value)}`)

const compiles = (text) => {
  try {
    return Boolean(new RegExp(text))
  } catch {
    return false
  }
}

// norm_ops/1: what each operator takes.
const ANYTHING = () => true
const TAKES = {
  $and: Array.isArray, $or: Array.isArray, $nor: Array.isArray, $not: isObject,
  $in: Array.isArray, $nin: Array.isArray, $all: Array.isArray,
  $elemMatch: isObject, $allMatch: isObject, $keyMapMatch: isObject,
  $exists: (value) => typeof value === 'boolean',
  $type: (value) => typeof value === 'string',
  $beginsWith: (value) => typeof value === 'string',
  $regex: (value) => typeof value === 'string' && compiles(value),
  $size: (value) => Number.isInteger(value) && value >= 0,
  $mod: (value) => Array.isArray(value) && value.length === 2 && value.every(Number.isInteger),
  $lt: ANYTHING, $lte: ANYTHING, $eq: ANYTHING, $ne: ANYTHING, $gte: ANYTHING, $gt: ANYTHING,
}
const OF_SELECTORS = new Set(['$and', '$or', '$nor', '$not', '$elemMatch', '$allMatch', '$keyMapMatch'])
const INDEXABLE = new Set(['$lt', '$lte', '$eq', '$gt', '$gte', '$beginsWith', '$exists'])

// One operator or field to an object; conditions of a field below its whole name: norm_ops/1, norm_fields/2.
export const normalized = (selector) => (Object.keys(selector).length ? pushed(operators(selector), '') : {})

const operators = (value) => {
  if (!isObject(value)) return { $eq: value }
  const members = Object.entries(value)
  if (members.length > 1) return { $and: members.map(([name, inner]) => operators({ [name]: inner })) }
  // A field that equals an object without members.
  if (!members.length) return { $eq: value }
  const [[name, inner]] = members
  if (!name.startsWith('$')) return { [name]: operators(inner) }
  if (!(name in TAKES)) throw new Refusal(400, 'invalid_operator', `Invalid operator: ${name}`)
  if (!TAKES[name](inner)) throw badArgument(name, inner)
  if (!OF_SELECTORS.has(name)) return value
  return { [name]: Array.isArray(inner) ? inner.map(operators) : operators(inner) }
}

const pushed = (selector, path) => {
  const [[name, inner]] = Object.entries(selector)
  if (['$and', '$or', '$nor'].includes(name)) return { [name]: inner.map((each) => pushed(each, path)) }
  if (name === '$not') return { $not: pushed(inner, path) }
  if (name.startsWith('$')) return path ? { [path]: selector } : selector
  return pushed(inner, path ? `${path}.${name}` : name)
}

// has_required_fields/2: what is left of `fields` when all that a selector asks to exist is taken off.
export const missingFields = (selector, fields) => {
  const [[name, inner] = []] = Object.entries(selector)
  if (name === '$and') return inner.reduce((left, each) => missingFields(each, left), fields)
  if (name === '$or') return [...new Set(inner.flatMap((each) => missingFields(each, fields)))]
  return inner?.$exists === false ? fields : fields.filter((each) => each !== name)
}

// is_constant_field/2.
export const isConstant = (selector, field) => {
  const [[name, inner] = []] = Object.entries(selector)
  if (name === '$and') return inner.some((each) => isConstant(each, field))
  return name === field && '$eq' in inner
}

// indexable_fields/1.
export const indexableFields = (selector) => {
  const [[name, inner] = []] = Object.entries(selector)
  if (name === '$and') return [...new Set(inner.flatMap(indexableFields))].sort()
  return name && !name.startsWith('$') && INDEXABLE.has(Object.keys(inner)[0]) ? [name] : []
}

// range/2: the lowest and the highest value of a field; absent where there is no bound.
export const range = (selector, field, found = {}) => {
  const [[name, inner] = []] = Object.entries(selector)
  if (name === '$and') return inner.reduce((so, each) => range(each, field, so), found)
  if (name !== field) return found
  const [[operator, value]] = Object.entries(inner)
  const low = ['$eq', '$gt', '$gte', '$beginsWith'].includes(operator)
  const high = ['$eq', '$lt', '$lte', '$beginsWith'].includes(operator)
  const top = operator === '$beginsWith' ? `${value}\uffff` : value
  if (low && (!('low' in found) || collate(value, found.low) > 0)) found.low = value
  if (high && (!('high' in found) || collate(top, found.high) < 0)) found.high = top
  return found
}
