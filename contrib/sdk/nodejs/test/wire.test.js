'use strict'
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { generate, PROTO } = require('../tools/generate')
const { Decision, discard, disconnect, failed, reject, relay, tempfail } = require('../lib/decisions')
const { toBytes, toText } = require('../lib/text')
const { Frames, ProtocolError, decode, encode, frame } = require('../lib/wire')
const schema = require('../lib/schema.json')

const VECTORS = path.join(__dirname, '../../../../tests/golden/vectors.json')
const inTree = fs.existsSync(PROTO) ? {} : { skip: "not in weir's source tree" }

test('what is made of policy.proto is up to date', inTree, () => {
  for (const [name, text] of Object.entries(generate())) {
    assert.equal(fs.readFileSync(path.join(__dirname, '../lib', name), 'utf8'), text,
      `run tools/generate.js: ${name}`)
  }
})

// ---------------------------------------------------------------- golden

const camel = name => name.replace(/_(\w)/g, (_, c) => c.toUpperCase())
const bytesOf = value => Buffer.isBuffer(value) ? value : toBytes(value)

/** A decoded message as proto3's JSON mapping has it: what is 0 or empty is
 * left out. */
function mapped (type, message) {
  const out = {}
  for (const [, name, kind, flag] of schema.messages[type]) {
    const value = message[camel(name)]
    const one = v => {
      if (kind in schema.messages) return mapped(kind, v)
      if (kind in schema.enums) return typeof v === 'number' ? v : enumerator(kind, v)
      if (kind === 'bytes') return bytesOf(v).toString('base64')
      return kind === 'uint64' ? String(v) : v
    }
    if (value === undefined || value === null) continue
    if (flag === 'repeated') {
      if (value.length) out[name] = value.map(one)
    } else if (flag === 'map') {
      if (Object.keys(value).length) out[name] = { ...value }
    } else if (kind in schema.messages || !(value === 0 || value === false || value.length === 0 ||
        (kind in schema.enums && schema.enums[kind][value] === 0))) {
      out[name] = one(value)
    }
  }
  return out
}

function enumerator (kind, word) {
  const prefix = kind.replace(/\B[A-Z]/g, '_$&').toUpperCase()
  return `${prefix}_${word.replace(/[A-Z]/g, '_$&').toUpperCase()}`
}

/** A message of the JSON mapping, as a policy would write it. */
function written (type, json) {
  const out = {}
  for (const [, name, kind, flag] of schema.messages[type]) {
    if (!(name in json)) continue
    const one = v => {
      if (kind in schema.messages) return written(kind, v)
      if (kind in schema.enums) {
        return Object.keys(schema.enums[kind]).find(word => enumerator(kind, word) === v)
      }
      if (kind === 'bytes') return toText(Buffer.from(v, 'base64'))
      return kind === 'uint64' ? BigInt(v) : v
    }
    out[camel(name)] = flag === 'repeated' ? json[name].map(one) : flag === 'map' ? json[name] : one(json[name])
  }
  return out
}

/** The decision again, by the functions that policies use. */
function again (d) {
  const { code = 0, enhanced = '', lines = [] } = d.reply ?? {}
  const text = lines.join('\n')
  const { scope } = d
  let made = {
    relay: () => relay({ scope }),
    reject: () => reject(text, { code, enhanced, scope }),
    tempfail: () => tempfail(text, { code, enhanced, scope }),
    discard: () => discard(text, { scope }),
    disconnect: () => disconnect(text, { enhanced })
  }[d.action]?.() ?? failed(d.reason)
  for (const { op, name, value = '', index = 0 } of d.headers ?? []) {
    made = {
      add: () => made.addHeader(name, value),
      insert: () => made.insertHeader(index, name, value),
      change: () => made.changeHeader(name, value, index),
      delete: () => made.deleteHeader(name, index)
    }[op]()
  }
  for (const { offset = 0, remove = 0, insert } of d.body ?? []) made = made.splice(offset, remove, insert)
  if (d.rewriteSet) made = made.rewrite(d.rewrite ?? '')
  if (d.outbound && !(d.outbound.sourceAddress && d.outbound.sourcePool)) made = made.outbound(d.outbound)
  if (d.delayMs) made = made.delay(d.delayMs)
  return made.because(d)
}

test('golden vectors', inTree, async t => {
  const vectors = JSON.parse(fs.readFileSync(VECTORS))
  assert.ok(vectors.to_policy.length >= 40 && vectors.from_policy.length >= 20)
  for (const { name, frame: hex, message } of vectors.to_policy) {
    await t.test(`reads ${name}`, () => {
      const bytes = Buffer.from(hex, 'hex')
      for (const step of [1, 7, bytes.length]) {
        const frames = new Frames()
        const found = []
        for (let at = 0; at < bytes.length; at += step) {
          for (const one of frames.feed(bytes.subarray(at, at + step))) found.push(one)
        }
        assert.equal(found.length, 1)
        assert.deepEqual(mapped('ToPolicy', decode('ToPolicy', found[0])), message)
        if (bytes.length > 10_000) break
      }
    })
  }
  for (const { name, frame: hex, message } of vectors.from_policy) {
    await t.test(`writes ${name}`, () => {
      const made = written('FromPolicy', message)
      assert.equal(frame('FromPolicy', made).toString('hex'), hex)
      if (made.decision && !name.startsWith('every field')) {
        made.decision = again(made.decision).fields
        assert.equal(frame('FromPolicy', made).toString('hex'), hex)
      }
    })
  }
  for (const { name, frame: hex } of vectors.refused) {
    await t.test(`refuses ${name}`, () => {
      assert.throws(() => decode('ToPolicy', Buffer.from(hex, 'hex').subarray(4)),
        { constructor: ProtocolError, message: /no message of weir/ })
    })
  }
})

// ------------------------------------------------------------- by ourselves

test('text survives, whatever its bytes', () => {
  for (const hex of ['', '616240c3a9', 'ff', 'c3', 'e282ac', 'e282', 'efbfbd', 'f09f9880', 'f0ff9880',
    'eda080', 'c080', '00', 'efbfbdff', 'f4908080', 'c3a9c3']) {
    const bytes = Buffer.from(hex, 'hex')
    assert.equal(toBytes(toText(bytes)).toString('hex'), hex)
  }
  assert.equal(toText(Buffer.from('caf\xe9', 'latin1')), 'caf\udce9')
  assert.equal(toText(Buffer.from('café 😀\ufffd')), 'café 😀\ufffd')
  assert.throws(() => toBytes(1), TypeError)
})

test('64 bits are exact', () => {
  for (const n of [0, 1, 127, 128, 2 ** 31, 2 ** 32, 2 ** 49, 2 ** 53 - 1, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    assert.equal(decode('ToPolicy', encode('ToPolicy', { session: n })).session, n)
  }
  for (const n of [-1, 2 ** 53, 1.5, 2n ** 64n, NaN, '1']) {
    assert.throws(() => encode('FromPolicy', { session: n }), RangeError)
  }
  assert.throws(() => encode('FromPolicy', { seq: 2 ** 32 }), RangeError)
  assert.throws(() => encode('Decision', { action: 'maybe' }), /Action has no maybe/)
})

test('the last member of a oneof counts, and submessages merge', () => {
  const both = Buffer.concat([encode('ToPolicy', { mail: { sender: 'a' } }),
    encode('ToPolicy', { rcpt: { recipient: 'b' } }), encode('ToPolicy', { rcpt: { index: 3 } })])
  const { event, mail, rcpt } = decode('ToPolicy', both)
  assert.deepEqual([event, mail, rcpt.recipient, rcpt.index], ['rcpt', undefined, 'b', 3])
})

test('numbers that are not packed are read, too', () => {
  const bytes = Buffer.from([0xe2, 1, 4, 8, 1, 8, 2])
  assert.deepEqual(decode('ToPolicy', bytes).data.accepted, [1, 2])
})

const INVALID = [
  () => reject('', { code: 450 }), () => tempfail('', { code: 550 }),
  () => reject('', { enhanced: '4.1.1' }), () => reject('', { enhanced: '5.1' }),
  () => reject('a\rb'), () => reject('x'.repeat(511)), () => reject('é'.repeat(256)),
  () => reject('x\n'.repeat(33)), () => relay().addHeader('', 'x'), () => relay().addHeader('X:', 'x'),
  () => relay().addHeader('X', 'a\r\nb'), () => relay().addHeader('X', 'a\nb'),
  () => relay().addHeader('X', 'a\0'), () => relay().addHeader('X', 'a\r\n'),
  () => relay().splice(0, 0, 'a\nb'), () => relay().splice(5, 1).splice(5, 1),
  () => relay().rewrite('a>b'), () => relay().outbound({ sourceAddress: 'a', sourcePool: 'b' })
]

test('what could never be valid throws', () => {
  for (const make of INVALID) assert.throws(make, RangeError, String(make))
})

test('a decision that is kept does not grow', () => {
  const kept = relay()
  kept.addHeader('X', 'a').because({ rule: 'é' })
  assert.deepEqual(kept.fields, { action: 'relay', scope: 'command' })
  assert.ok(kept instanceof Decision)
  assert.equal(relay().because({ rule: 'é\0' }).fields.rule, '\\u00e9\\u0000')
})
