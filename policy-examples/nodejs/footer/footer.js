#!/usr/bin/env node
'use strict'
// Adds a footer to outgoing messages, by splices of their body: the rest stays
// byte for byte. README.md says to which ones.

const { createHash } = require('node:crypto')
const fs = require('node:fs')
const { Policy, commandLine, relay } = require('weir-policy')
const { Untouched, message, texts } = require('./mime')

const LATIN = new Set(['iso-8859-1', 'windows-1252'])
// whose first 128 characters are ASCII's
const ASCII_LIKE = /^(us-ascii|utf-8|iso-8859-\d+|windows-12\d\d|koi8-[ru]|gb2312|gbk|gb18030|big5|euc-\w+|shift_jis)$/

const crlf = text => text.trim().replace(/\r?\n/g, '\r\n')
const html = text => `<p>${crlf(text).replace(/[&<>]/g, c => `&#${c.charCodeAt(0)};`).replace(/\r\n/g, '<br>\r\n')}</p>`

/** The footer in the part's charset, as far as that can say it. */
function encoded (part, footer) {
  if (part.type === 'text/html') { // HTML can always say it
    return Buffer.from(footer.html.replace(/[^\0-\x7f]/gu, c => `&#${c.codePointAt(0)};`))
  }
  const eightBit = part.encoding !== '7bit'
  if (eightBit && part.charset === 'utf-8') return Buffer.from(footer.text)
  if (eightBit && LATIN.has(part.charset) && /^[\0-\x7f\xa0-\xff]*$/.test(footer.text)) {
    return Buffer.from(footer.text, 'latin1')
  }
  const plain = footer.text.replace(/ß/g, 'ss').normalize('NFKD').replace(/\p{M}/gu, '')
  return Buffer.from(plain.replace(/[^\0-\x7f]/gu, '?'))
}

/** Where the footer goes in a text: at its end, in HTML before </body>. */
function place (part, text) {
  if (part.type !== 'text/html') return text.length
  const lower = text.toString('latin1').toLowerCase()
  const body = lower.lastIndexOf('</body')
  const end = body < 0 ? lower.lastIndexOf('</html') : body
  return end < 0 ? text.length : end
}

/** The footer as lines between what is before and after them. */
function between (text, at, footer) {
  const end = '\r\n'
  const begun = at === 0 || text[at - 1] === 10 ? '' : end
  const last = at === text.length && begun ? '' : end
  return Buffer.concat([Buffer.from(begun + end), footer, Buffer.from(last)])
}

function quotedPrintable (bytes) {
  return bytes.toString('latin1').split('\r\n').map(line => {
    const signs = line.match(/[^]/g)?.map((c, at) =>
      /[!-<>-~]/.test(c) || (/[ \t]/.test(c) && at < line.length - 1) ? c : hex(c)) ?? []
    let length = 0
    return signs.map(sign => {
      length += sign.length
      if (length <= 73) return sign
      length = sign.length
      return '=\r\n' + sign
    }).join('')
  }).join('\r\n')
}

const hex = c => '=' + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')

/** Base64 is decoded, and made anew from the four characters on that hold the
 * place of the footer. */
function base64Splice (part, text, footer) {
  const coded = text.toString('latin1')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(coded.replace(/\s+/g, ''))) throw new Untouched('base64 with something else in it')
  const bytes = Buffer.from(coded, 'base64')
  const at = place(part, bytes)
  const kept = Math.floor(at / 3)
  let offset = 0
  for (let count = 0; count < 4 * kept; offset++) {
    if (coded.charCodeAt(offset) > 32) count++
  }
  const made = Buffer.concat([bytes.subarray(3 * kept, at), between(bytes, at, footer), bytes.subarray(at)])
  const lines = made.toString('base64').match(/.{1,76}/g)
  const begin = offset === 0 || coded.slice(offset - 2, offset) === '\r\n' ? '' : '\r\n'
  const end = coded.endsWith('\r\n') ? '\r\n' : ''
  return [offset, coded.length - offset, begin + lines.join('\r\n') + end]
}

/** The splice of one text part, as [offset, remove, insert]; null if none. */
function spliceOf (part, body, footer) {
  const text = body.subarray(part.start, part.end)
  const inside = text.toString('latin1')
  if (!ASCII_LIKE.test(part.charset)) return null
  if (/^-----BEGIN PGP /m.test(inside)) throw new Untouched('PGP in the text')
  const bytes = encoded(part, footer)
  const at = place(part, text)
  let splice
  if (part.encoding === 'base64') splice = base64Splice(part, text, bytes)
  else if (part.encoding === 'quoted-printable') {
    const softBreak = inside.slice(0, at).endsWith('=\r\n') ? '\r\n' : ''
    splice = [at, 0, softBreak + between(text, at, Buffer.from(quotedPrintable(bytes)))]
  } else if (/^(7bit|8bit|binary)$/.test(part.encoding)) splice = [at, 0, between(text, at, bytes)]
  else return null
  splice[0] += part.start
  return splice
}

/** [offset, remove, insert] of each splice, or Untouched with the reason. */
function splices (fields, body, footer) {
  if (fields('dkim-signature').length) throw new Untouched('a DKIM signature')
  const parts = texts(message(fields, body), body)
  const found = parts.map(part => spliceOf(part, body, footer)).filter(Boolean)
  if (!found.length) throw new Untouched('no text that could take it')
  return found
}

function main () {
  const options = commandLine({ text: { type: 'string' }, html: { type: 'string' } },
    '  --text FILE            the footer, in UTF-8\n' +
    '  --html FILE            its HTML; made of the text without\n')
  if (!options.text) {
    console.error('--text is missing')
    process.exit(2)
  }
  const text = fs.readFileSync(options.text, 'utf8')
  const footer = {
    text: crlf(text),
    html: options.html ? crlf(fs.readFileSync(options.html, 'utf8')) : html(text)
  }
  const version = createHash('sha256').update(JSON.stringify(footer)).digest('hex').slice(0, 12)
  const policy = new Policy('footer/1.0', { version })
  policy.on('endOfMessage', ({ message, envelope }) => {
    try {
      if (envelope.sender === '') throw new Untouched('a bounce')
      if (message.truncated || message.gaps.length) throw new Untouched('a message too large')
      const fields = name => message.headers.all(name).map(header => header.value)
      return splices(fields, message.body, footer)
        .reduce((decision, splice) => decision.splice(...splice), relay())
        .because({ rule: 'footer' })
    } catch (error) {
      if (!(error instanceof Untouched)) throw error
      return relay().because({ rule: 'untouched', reason: error.message })
    }
  })
  policy.run(options)
}

if (require.main === module) main()

module.exports = { crlf, html, splices }
