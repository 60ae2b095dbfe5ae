'use strict'
// The protocol on the wire: proto3 messages, as lib/schema.json describes
// them, in frames.
//
// A message is a plain object with every field, in camelCase: 0, '', false and
// [] where nothing was sent, null for a message that is not there. Enums are
// words; a value that the schema does not know stays a number. 64 bits are a
// number where that is exact, else a BigInt. Of a oneof, the object names the
// member that is there: { event: 'rcpt', rcpt: {...} }.

const schema = require('./schema.json')
const { toText, toBytes } = require('./text')

class ProtocolError extends Error {}

const HANDSHAKE_FRAME_MAX = 64 * 1024
const FRAME_MAX = 16 * 1024 * 1024 // whatever weir offers
const UINT32_MAX = 0xffffffff
const UINT64_MAX = 2n ** 64n - 1n

const camel = name => name.replace(/_(\w)/g, (_, c) => c.toUpperCase())

// ------------------------------------------------------------------- reading

class Reader {
  constructor (bytes) {
    this.bytes = bytes
    this.at = 0
  }

  varint () {
    const { bytes } = this
    let value = 0
    for (let scale = 1, i = 0; i < 7; i++, scale *= 128) {
      const byte = bytes[this.at++]
      if (byte === undefined) throw new ProtocolError('it ends in a number')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    let big = BigInt(value)
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = bytes[this.at++]
      if (byte === undefined) throw new ProtocolError('it ends in a number')
      big |= BigInt(byte & 127) << shift
      if (byte < 128) {
        big = BigInt.asUintN(64, big)
        return big <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(big) : big
      }
    }
    throw new ProtocolError('a number without an end')
  }

  take (length) {
    const start = this.at
    if (length > this.bytes.length - start) throw new ProtocolError('it ends too early')
    this.at = start + Number(length)
    return this.bytes.subarray(start, this.at)
  }

  skip (wire) {
    if (wire === VARINT) this.varint()
    else if (wire === FIXED64) this.take(8)
    else if (wire === BYTES) this.take(this.varint())
    else if (wire === FIXED32) this.take(4)
    else throw new ProtocolError(`wire type ${wire}`)
  }
}

const VARINT = 0; const FIXED64 = 1; const BYTES = 2; const FIXED32 = 5

const toUint32 = value => typeof value === 'bigint' ? Number(value & 0xffffffffn) : value % 2 ** 32

function uint (value, max, name) {
  const exact = typeof value === 'bigint' || Number.isSafeInteger(value)
  if (!exact || value < 0 || value > max) throw new RangeError(`${name} cannot be ${value}`)
  return value
}

// How each scalar type is read and written; write gives bytes, or nothing for
// what need not be sent.
const SCALARS = {
  uint32: { wire: VARINT, none: 0, read: r => toUint32(r.varint()), write: (v, n) => varint(uint(v, UINT32_MAX, n)) },
  uint64: { wire: VARINT, none: 0, read: r => r.varint(), write: (v, n) => varint(uint(v, UINT64_MAX, n)) },
  bool: { wire: VARINT, none: false, read: r => r.varint() !== 0, write: v => varint(v ? 1 : 0) },
  string: { wire: BYTES, none: '', read: r => r.take(r.varint()).toString('utf8'), write: v => Buffer.from(String(v), 'utf8') },
  bytes: { wire: BYTES, none: '', read: r => toText(r.take(r.varint())), write: toBytes },
  buffer: { wire: BYTES, none: Buffer.alloc(0), read: readBuffer, write: toBytes },
  float: { wire: FIXED32, none: 0, read: r => r.take(4).readFloatLE(0), write: v => { const b = Buffer.alloc(4); b.writeFloatLE(v); return b } },
  double: { wire: FIXED64, none: 0, read: r => r.take(8).readDoubleLE(0), write: v => { const b = Buffer.alloc(8); b.writeDoubleLE(v); return b } }
}

// Small ones are copied: they would keep all that came along in memory.
function readBuffer (reader) {
  const bytes = reader.take(reader.varint())
  return bytes.length < 4096 ? Buffer.from(bytes) : bytes
}

function enumeration (name) {
  const numbers = schema.enums[name]
  const words = Object.fromEntries(Object.entries(numbers).map(([word, n]) => [n, word]))
  return {
    wire: VARINT,
    none: words[0],
    read: r => {
      const number = toUint32(r.varint()) | 0
      return words[number] ?? number
    },
    write: v => {
      if (numbers[v] === undefined) throw new RangeError(`${name} has no ${v}`)
      return varint(numbers[v])
    }
  }
}

function submessage (type) {
  return {
    wire: BYTES,
    none: null,
    read: (r, before) => read(type, r.take(r.varint()), before),
    write: v => encode(type, v)
  }
}

// The fields of each message, by number and in order.
const plans = {}
for (const [name, fields] of Object.entries(schema.messages)) {
  plans[name] = fields.map(([number, proto, type, flag]) => ({
    number,
    name: camel(proto),
    repeated: flag === 'repeated',
    map: flag === 'map',
    oneof: ['', 'repeated', 'map', 'buffer'].includes(flag) ? '' : flag,
    message: type in schema.messages,
    ...(SCALARS[flag === 'buffer' ? flag : type] ??
        (type in schema.enums ? enumeration(type) : submessage(type)))
  }))
}
const byNumber = Object.fromEntries(Object.entries(plans).map(([name, fields]) =>
  [name, new Map(fields.map(field => [field.number, field]))]))

// A message with nothing in it.
function blank (type) {
  const made = {}
  for (const field of plans[type]) {
    if (field.oneof) made[field.oneof] = null
    else if (field.map) made[field.name] = Object.create(null)
    else made[field.name] = field.repeated ? [] : field.none
  }
  return made
}

function read (type, bytes, into) {
  const message = into ?? blank(type)
  const fields = byNumber[type]
  const reader = new Reader(bytes)
  while (reader.at < bytes.length) {
    const key = reader.varint()
    const number = toUint32(key) >>> 3
    const wire = toUint32(key) & 7
    if (number === 0) throw new ProtocolError('field number 0')
    const field = fields.get(number)
    if (field === undefined) reader.skip(wire)
    else readField(message, field, wire, reader)
  }
  return message
}

function readField (message, field, wire, reader) {
  const { name } = field
  if (field.map) {
    const { key, value } = readEntry(reader)
    message[name][key] = value
  } else if (field.repeated && field.wire !== BYTES && wire === BYTES) { // packed
    const packed = new Reader(reader.take(reader.varint()))
    while (packed.at < packed.bytes.length) message[name].push(field.read(packed))
  } else if (wire !== field.wire) {
    reader.skip(wire)
  } else if (field.repeated) {
    message[name].push(field.read(reader))
  } else if (field.oneof) {
    const before = message[field.oneof]
    if (before !== null && before !== name) delete message[before]
    message[field.oneof] = name
    message[name] = field.read(reader, message[name])
  } else {
    message[name] = field.read(reader, message[name])
  }
}

function readEntry (reader) {
  const entry = new Reader(reader.take(reader.varint()))
  const found = { key: '', value: '' }
  while (entry.at < entry.bytes.length) {
    const key = entry.varint()
    if (key === 10) found.key = SCALARS.string.read(entry)
    else if (key === 18) found.value = SCALARS.string.read(entry)
    else entry.skip(toUint32(key) & 7)
  }
  return found
}

// ------------------------------------------------------------------- writing

function varint (value) {
  const bytes = []
  let rest = value
  if (typeof rest === 'bigint') {
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
    rest = Number(rest)
  }
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}

function writeField (out, field, wire, bytes) {
  out.push(varint(field.number * 8 + wire))
  if (wire === BYTES) out.push(varint(bytes.length))
  out.push(bytes)
}

/** The bytes of one message. Fields that the object has not are not sent. */
function encode (type, message) {
  const out = []
  for (const field of plans[type]) {
    const value = message[field.name]
    if (value === undefined || value === null) continue
    if (field.map) {
      for (const [key, text] of Object.entries(value)) {
        const entry = []
        writeField(entry, { number: 1 }, BYTES, Buffer.from(key, 'utf8'))
        writeField(entry, { number: 2 }, BYTES, Buffer.from(String(text), 'utf8'))
        writeField(out, field, BYTES, Buffer.concat(entry))
      }
    } else if (field.repeated && field.wire !== BYTES) {
      const packed = Buffer.concat(value.map(one => field.write(one, field.name)))
      if (packed.length) writeField(out, field, BYTES, packed)
    } else if (field.repeated) {
      for (const one of value) writeField(out, field, BYTES, field.write(one, field.name))
    } else if (field.message || (value !== field.none && value?.length !== 0)) {
      writeField(out, field, field.wire, field.write(value, field.name))
    }
  }
  return Buffer.concat(out)
}

// -------------------------------------------------------------------- frames

/** One frame: the length, then the message. */
function frame (type, message) {
  const payload = encode(type, message)
  const head = Buffer.alloc(4)
  head.writeUInt32BE(payload.length)
  return Buffer.concat([head, payload])
}

function decode (type, bytes) {
  try {
    return read(type, bytes)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new ProtocolError(`a frame that is no message of weir (${error.message}): ` +
      quote(bytes.subarray(0, 16)))
  }
}

const quote = bytes => JSON.stringify(bytes.toString('latin1'))

/** Cuts a stream of bytes into frames. */
class Frames {
  constructor () {
    this.limit = HANDSHAKE_FRAME_MAX
    this.chunks = []
    this.length = 0
    this.wanted = 4
  }

  /** Yields every frame that is complete now; `limit` may change meanwhile. */
  * feed (chunk) {
    this.chunks.push(chunk)
    this.length += chunk.length
    if (this.length < this.wanted) return
    let bytes = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks)
    this.wanted = 4
    while (bytes.length >= 4) {
      const length = bytes.readUInt32BE(0)
      if (length > this.limit) {
        throw new ProtocolError(`a frame of ${length} bytes where ${this.limit} are allowed; ` +
          `it begins with ${quote(bytes.subarray(0, 16))}`)
      }
      this.wanted = 4 + length
      if (bytes.length < this.wanted) break
      const payload = bytes.subarray(4, this.wanted)
      bytes = bytes.subarray(this.wanted)
      this.wanted = 4
      yield payload
    }
    this.chunks = bytes.length ? [bytes] : []
    this.length = bytes.length
  }
}

module.exports = { FRAME_MAX, Frames, ProtocolError, decode, encode, frame }
