'use strict'
// Text that came off an SMTP wire is a string, decoded as UTF-8. A byte that
// is no UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, and such a string
// goes back as it came. (Python calls this "surrogateescape".)

const LONE = /[\udc80-\udcff]/u

function toText (bytes) {
  const text = bytes.toString('utf8')
  if (!text.includes('\ufffd')) return text
  let out = ''
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at]
    const length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
    const piece = bytes.subarray(at, at + length)
    const character = piece.toString('utf8')
    if (Buffer.from(character, 'utf8').equals(piece)) {
      out += character
      at += length
    } else {
      out += String.fromCharCode(0xdc00 + first)
      at++
    }
  }
  return out
}

function toBytes (text) {
  if (Buffer.isBuffer(text)) return text
  if (text instanceof Uint8Array) return Buffer.from(text)
  if (typeof text !== 'string') throw new TypeError(`neither text nor bytes: ${text}`)
  if (!LONE.test(text)) return Buffer.from(text, 'utf8')
  return Buffer.concat(Array.from(text, character => LONE.test(character)
    ? Buffer.of(character.charCodeAt(0) - 0xdc00)
    : Buffer.from(character, 'utf8')))
}

// Text for weir's record, which is ASCII: the rest is shown escaped.
function word (text) {
  return String(text).replace(/[^\x01-\x7f]/g, c =>
    '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))
}

module.exports = { toText, toBytes, word }
