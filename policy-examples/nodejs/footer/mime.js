'use strict'
// Just enough MIME to find the text that a reader sees first: which parts, and
// where in the body their bytes are.

const DEPTH_MAX = 10

/** Why a message is left as it is. */
class Untouched extends Error {}

/** 'text/plain; charset="utf-8"' as { value, parameters }. */
function parameters (field) {
  const [, value, rest] = /^\s*([^;\s]*)(.*)$/s.exec(field)
  const found = {}
  for (const [, name, quoted, plain] of rest.matchAll(/;\s*([^\s=;*]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;\s]*))/gs)) {
    found[name.toLowerCase()] ??= quoted?.replace(/\\(.)/gs, '$1') ?? plain
  }
  return { value: value.toLowerCase(), parameters: found }
}

/** The fields of a part, as a function of their lower-case names. */
function partFields (bytes) {
  const lines = bytes.toString('latin1').replace(/\r\n(?=[ \t])/g, '').split('\r\n')
  return name => lines.filter(line => line.toLowerCase().startsWith(`${name}:`))
    .map(line => line.slice(name.length + 1).trim())
}

function describe (fields, start, end) {
  const one = (name, usual) => {
    const all = fields(name)
    if (all.length > 1) throw new Untouched(`several fields ${name}`)
    return all[0] ?? usual
  }
  const type = parameters(one('content-type', 'text/plain'))
  return {
    type: type.value,
    charset: (type.parameters.charset ?? 'us-ascii').toLowerCase(),
    boundary: type.parameters.boundary,
    encoding: one('content-transfer-encoding', '7bit').toLowerCase(),
    attached: /^\s*attachment/i.test(one('content-disposition', '')),
    start,
    end
  }
}

/** The parts of a multipart. The CRLF before a boundary belongs to it. */
function children (part, body) {
  const { boundary } = part
  if (!boundary) throw new Untouched('a multipart without boundary')
  const delimiter = Buffer.from(`--${boundary}`, 'latin1')
  const parts = []
  let begun = null // of the part that the next delimiter ends
  for (let at = part.start; ;) {
    at = body.indexOf(delimiter, at)
    if (at < 0 || at >= part.end) throw new Untouched('a multipart without its end')
    const rest = /^(--)?[ \t]*(\r\n|$)/.exec(body.toString('latin1', at + delimiter.length,
      Math.min(at + delimiter.length + 80, part.end)))
    const atLineStart = at === part.start || body.toString('latin1', at - 2, at) === '\r\n'
    if (rest && atLineStart) {
      if (begun !== null) parts.push(child(body, begun, Math.max(at - 2, begun)))
      if (rest[1]) return parts
      begun = at + delimiter.length + rest[0].length
      at = begun
    } else at += delimiter.length
  }
}

function child (body, start, end) {
  if (body.toString('latin1', start, start + 2) === '\r\n') { // no fields
    return describe(() => [], start + 2, end)
  }
  const empty = body.indexOf('\r\n\r\n', start)
  if (empty < 0 || empty >= end) { // fields alone: nothing to read in it
    return { ...describe(partFields(body.subarray(start, end)), end, end), attached: true }
  }
  return describe(partFields(body.subarray(start, empty)), empty + 4, end)
}

const SEALED = /^(multipart\/(signed|encrypted|report)|application\/(x-)?pkcs7-mime)$/

/** The text parts that a reader sees: the first of mixed and related, each of
 * alternative. Throws Untouched for what is signed or encrypted. */
function texts (part, body, depth = 0) {
  if (SEALED.test(part.type)) throw new Untouched(part.type)
  if (depth > DEPTH_MAX) throw new Untouched('multiparts nested too deep')
  if (part.attached) return []
  if (part.type === 'text/plain' || part.type === 'text/html') return [part]
  const among = {
    'multipart/mixed': parts => parts.slice(0, 1),
    'multipart/related': parts => parts.slice(0, 1),
    'multipart/alternative': parts => parts
  }[part.type]
  if (!among) return []
  const parts = children(part, body)
  for (const one of parts) {
    if (SEALED.test(one.type)) throw new Untouched(one.type)
  }
  return among(parts).flatMap(one => texts(one, body, depth + 1))
}

/** The message as one part. fields(name) gives all values of a field. */
function message (fields, body) {
  return describe(fields, 0, body.length)
}

module.exports = { Untouched, message, texts }
