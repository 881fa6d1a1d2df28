// JSON as CouchDB reads it (jiffy), and terms of Erlang as it prints them into its errors.
import { badRequest } from './refusal.mjs'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
// Half of a surrogate pair: with `u`, whole ones are one character.
const HALF = /\p{Surrogate}/u
const SUSPECT = /\\u[dD][89a-fA-F]|[eE]\+?\d{3}|\d{300}/

// couch_util:json_decode/2, through ?JSON_DECODE: all that is wrong has the same words. Observed on 3.5.0: bytes that are no
// UTF-8, half a surrogate pair, a number beyond a double's range, NaN.
export const fromJson = (text) => {
  let value
  try {
    value = JSON.parse(typeof text === 'string' ? text : (text = utf8.decode(text)))
  } catch {
    throw badRequest('invalid UTF-8 JSON')
  }
  if (SUSPECT.test(text) && !sound(value)) throw badRequest('invalid UTF-8 JSON')
  return value
}

const sound = (value) => {
  if (typeof value === 'string') return !HALF.test(value)
  if (typeof value === 'number') return Number.isFinite(value)
  if (value === null || typeof value !== 'object') return true
  return Object.entries(value).every(([name, inner]) => !HALF.test(name) && sound(inner))
}

export const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)

// io_lib:format("~p"): binaries that can be printed are printed.
export const printed = (value) => term(value, (text) => `<<${JSON.stringify(text)}>>`)
// "~w": they are not.
export const written = (value) => term(value, (text) => `<<${[...Buffer.from(text)].join(',')}>>`)

const term = (value, binary) => {
  if (typeof value === 'string') return binary(value)
  if (Array.isArray(value)) return `[${value.map((each) => term(each, binary)).join(',')}]`
  if (isObject(value)) {
    return `{[${Object.entries(value).map(([name, each]) => `{${binary(name)},${term(each, binary)}}`).join(',')}]}`
  }
  return String(value)
}
