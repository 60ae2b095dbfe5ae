'use strict'
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { crlf, html, splices } = require('./footer')

const WORDS = 'Grüße, ACME <GmbH>\n100 % = all'
const FOOTER = { text: crlf(WORDS), html: html(WORDS) }
const ASCII = 'Grusse, ACME <GmbH>\r\n100 % = all'
const UTF8 = 'Grüße, ACME <GmbH>\r\n100 % = all'
const HTML = '<p>Gr&#252;&#223;e, ACME &#60;GmbH&#62;<br>\r\n100 % = all</p>'

/** The body with its footer; the fields are lines. */
function edited (lines, body, encoding = 'utf8') {
  const all = Object.entries(lines)
  const fields = name => all.filter(([n]) => n.toLowerCase() === name).map(([, value]) => value)
  let out = Buffer.from(body, encoding)
  for (const [offset, remove, insert] of splices(fields, out, FOOTER).reverse()) {
    out = Buffer.concat([out.subarray(0, offset), Buffer.from(insert), out.subarray(offset + remove)])
  }
  return out
}

const text = (charset, encoding) => ({
  'Content-Type': `text/plain; charset=${charset}`,
  'Content-Transfer-Encoding': encoding
})

test('plain text in what its charset can say', () => {
  const cases = [
    [{}, ASCII, 'utf8'], [text('utf-8', '7bit'), ASCII, 'utf8'], [text('"UTF-8"', '8bit'), UTF8, 'utf8'],
    [text('iso-8859-1', '8BIT'), UTF8, 'latin1'], [text('koi8-r', '8bit'), ASCII, 'utf8']
  ]
  for (const [fields, footer, encoding] of cases) {
    assert.equal(edited(fields, 'Hello.\r\n').toString(encoding), `Hello.\r\n\r\n${footer}\r\n`)
  }
  assert.equal(edited({}, 'Hello.').toString(), `Hello.\r\n\r\n${ASCII}`)
  assert.equal(edited({}, '').toString(), `\r\n${ASCII}\r\n`)
})

function unquoted (text) {
  for (const line of text.split('\r\n')) assert.ok(line.length <= 76, line)
  const bytes = text.replace(/=\r\n/g, '').replace(/=(..)/g, (_, h) => String.fromCharCode(parseInt(h, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

test('quoted-printable', () => {
  const fields = text('utf-8', 'quoted-printable')
  for (const body of ['caf=C3=A9\r\n', 'a soft end=\r\n', 'no end', 'a soft one=']) {
    const out = edited(fields, body).toString()
    assert.ok(out.startsWith(body))
    assert.match(unquoted(out), /[édtne]\r\n(\r\n)?Grüße, ACME <GmbH>\r\n100 % = all(\r\n)?$/)
  }
  const long = splices(name => ({ 'content-transfer-encoding': ['quoted-printable'], 'content-type': ['text/plain; charset=utf-8'] }[name] ?? []),
    Buffer.from('x\r\n'), { text: 'ü'.repeat(200) + ' ', html: '' })
  assert.equal(unquoted(long[0][2].toString()), `\r\n${'ü'.repeat(200)} \r\n`)
})

test('base64, whatever its length and lines', () => {
  const fields = text('utf-8', 'base64')
  for (let length = 0; length < 200; length++) {
    const words = 'x'.repeat(length) + '\r\n'
    const coded = Buffer.from(words).toString('base64').replace(/.{1,76}/g, '$&\r\n')
    for (const body of [coded, coded.trimEnd()]) {
      const out = edited(fields, body).toString()
      for (const line of out.split('\r\n')) assert.ok(/^[A-Za-z0-9+/]*={0,2}$/.test(line) && line.length <= 76)
      assert.equal(out.endsWith('\r\n'), body.endsWith('\r\n'))
      assert.equal(Buffer.from(out, 'base64').toString(), `${words}\r\n${UTF8}\r\n`)
    }
  }
})

test('HTML, before its end', () => {
  const fields = { 'content-type': 'text/html; charset=us-ascii' }
  assert.equal(edited(fields, '<html><body>Hi</BODY></html>\r\n').toString(),
    `<html><body>Hi\r\n\r\n${HTML}\r\n</BODY></html>\r\n`)
  assert.equal(edited(fields, 'Hi\r\n').toString(), `Hi\r\n\r\n${HTML}\r\n`)
  const coded = Buffer.from('<html><body>Hi</body></html>').toString('base64')
  assert.equal(Buffer.from(edited({ ...fields, 'Content-Transfer-Encoding': 'base64' }, coded).toString(), 'base64').toString(),
    `<html><body>Hi\r\n\r\n${HTML}\r\n</body></html>`)
})

const ALTERNATIVE = ['--in', 'Content-Type: text/plain', '', 'Hello', '--in', 'Content-Type: text/html;',
  '\tcharset="utf-8"', '', '<b>Hello</b>', '--in--']
const mixed = (...parts) => ['a preamble', ...parts.flatMap(part => ['--out', ...part]), '--out--', ''].join('\r\n')
const MIXED = { 'Content-Type': 'multipart/mixed; boundary="out"' }

test('the text parts of a multipart, and nothing else', () => {
  const first = ['Content-Type: multipart/alternative; boundary=in', '', ...ALTERNATIVE]
  const attached = ['Content-Type: text/plain', '', 'an attachment']
  const out = edited(MIXED, mixed(first, attached)).toString()
  assert.equal(out, mixed(first, attached)
    .replace('Hello\r\n--in', `Hello\r\n\r\n${ASCII}\r\n--in`)
    .replace('<b>Hello</b>', `<b>Hello</b>\r\n\r\n${HTML}`))
  // a part without fields, and with an empty text
  assert.equal(edited(MIXED, mixed(['', 'Hello'])).toString(), mixed(['', 'Hello', '', ASCII]))
  assert.equal(edited(MIXED, '--out\r\n\r\n--out--\r\n').toString(), `--out\r\n\r\n\r\n${ASCII}\r\n--out--\r\n`)
})

test('what is left alone, with the reason', () => {
  const type = value => ({ 'Content-Type': value })
  const inside = (value, ...more) => [MIXED, mixed([`Content-Type: ${value}`, ...more, '', 'x'])]
  for (const [reason, fields, body = 'x\r\n'] of [
    ['a DKIM signature', { 'DKIM-Signature': 'v=1' }],
    ['multipart/signed', type('multipart/signed; boundary=b')],
    ['multipart/encrypted', type('Multipart/Encrypted; boundary=b')],
    ['multipart/report', type('multipart/report; boundary=b')],
    ['application/pkcs7-mime', type('application/pkcs7-mime; name=smime.p7m')],
    ['multipart/signed', ...inside('multipart/signed; boundary=b')],
    ['PGP in the text', {}, '-----BEGIN PGP SIGNED MESSAGE-----\r\n'],
    ['several fields content-type', { 'Content-Type': 'text/plain', 'content-type': 'text/html' }],
    ['no text that could take it', type('application/pdf')],
    ['no text that could take it', type('multipart/unheard-of; boundary=b')],
    ['no text that could take it', text('utf-16', '8bit')],
    ['no text that could take it', text('utf-8', 'x-uuencode')],
    ['no text that could take it', ...inside('text/plain', 'Content-Disposition: attachment')],
    ['no text that could take it', ...inside('message/rfc822')],
    ['no text that could take it', MIXED, '--out\r\nContent-Type: text/plain\r\n--out--\r\n'],
    ['base64 with something else in it', text('utf-8', 'base64'), 'eHh4\r\n-- \r\nlist footer\r\n'],
    ['a multipart without boundary', type('multipart/mixed')],
    ['a multipart without its end', MIXED, '--out\r\n\r\nx\r\n'],
    ['a multipart without its end', MIXED, 'x--out\r\n\r\nx\r\n--outer--\r\n']
  ]) assert.throws(() => edited(fields, body), { message: reason })
})
