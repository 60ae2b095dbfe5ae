'use strict'
// What a policy answers. A decision begins with one of relay, reject,
// tempfail, discard, disconnect, and can be refined; each step gives a new
// decision, so one that is kept can be used again and again. What could never
// be valid throws here, in the policy's own stack; what weir.conf does not
// grant is weir's to refuse.

const { toBytes, word } = require('./text')

const NAME = /^[!-9;-~]+$/
const BAD_IN_VALUE = /\0|\r(?!\n[ \t])|(?<!\r)\n/
const BARE = /\r(?!\n)|(?<!\r)\n/
const ENHANCED = /^[245]\.\d{1,3}\.\d{1,3}$/

const latin1 = value => toBytes(value).toString('latin1') // for tests of bytes

class Decision {
  /** @param fields a Decision of policy.proto, in camelCase */
  constructor (fields) {
    this.fields = Object.freeze(fields)
    Object.freeze(this)
  }

  #with (changes) {
    return new Decision({ ...this.fields, ...changes })
  }

  #edit (op, name, value, index) {
    if (!NAME.test(latin1(name))) throw new RangeError(`${JSON.stringify(name)} is no name of a header field`)
    if (BAD_IN_VALUE.test(latin1(value))) {
      throw new RangeError(`a header value folds with CRLF and white space only: ${JSON.stringify(value)}`)
    }
    return this.#with({ headers: [...(this.fields.headers ?? []), { op, name, value, index }] })
  }

  addHeader (name, value) {
    return this.#edit('add', name, value, 0)
  }

  insertHeader (index, name, value) {
    return this.#edit('insert', name, value, index)
  }

  changeHeader (name, value, index = 0) {
    return this.#edit('change', name, value, index)
  }

  deleteHeader (name, index = 0) {
    return this.#edit('delete', name, '', index)
  }

  splice (offset, remove = 0, insert = '') {
    if (BARE.test(latin1(insert))) throw new RangeError('a line of the body ends with CRLF')
    const before = this.fields.body ?? []
    const last = before[before.length - 1]
    if (last && BigInt(offset) < BigInt(last.offset) + BigInt(last.remove)) throw new RangeError('splices overlap or descend')
    return this.#with({ body: [...before, { offset, remove, insert }] })
  }

  outbound (choice) {
    if (choice.sourceAddress && choice.sourcePool) throw new RangeError('a source address and a source pool')
    return this.#with({ outbound: { ...choice } })
  }

  rewrite (address) {
    if (/[\r\n\0<>]/.test(latin1(address))) throw new RangeError(`${JSON.stringify(address)} cannot be an address`)
    return this.#with({ rewrite: address, rewriteSet: true })
  }

  delay (milliseconds) {
    return this.#with({ delayMs: Math.round(milliseconds) })
  }

  because ({ rule = '', score = 0, reason = '', annotations = {} }) {
    return this.#with({ rule: word(rule), score, reason: word(reason), annotations: words(annotations) })
  }
}

const words = facts => Object.fromEntries(
  Object.entries(facts).map(([key, value]) => [word(key), word(value)]))

function decision (action, scope, text, code, enhanced) {
  const fields = { action, scope }
  if (code) {
    if (enhanced && (!ENHANCED.test(enhanced) || Number(enhanced[0]) !== Math.floor(code / 100))) {
      throw new RangeError(`enhanced code ${enhanced} does not fit ${code}`)
    }
    const lines = text ? text.split('\n') : []
    if (lines.length > 32) throw new RangeError(`${lines.length} lines of text, and 32 are allowed`)
    for (const line of lines) {
      if (toBytes(line).length > 510 || /[\r\0]/.test(line)) {
        throw new RangeError(`${JSON.stringify(line)} cannot be a line of a reply`)
      }
    }
    fields.reply = { code, enhanced, lines }
  }
  return new Decision(fields)
}

function inClass (what, first, code) {
  if (code && Math.floor(code / 100) !== first) throw new RangeError(`${what} takes a ${first}xx code, not ${code}`)
}

/** Let it pass. With scope 'transaction': and do not ask me again about it. */
function relay ({ scope = 'command' } = {}) {
  return decision('relay', scope, '', 0, '')
}

/** Refuse for good. "\n" separates lines of text; code 0 is weir's own reply. */
function reject (text = '', { code = 550, enhanced = '5.7.1', scope = 'command' } = {}) {
  inClass('reject', 5, code)
  return decision('reject', scope, text, code, enhanced)
}

/** Refuse for now: the client's queue tries again. */
function tempfail (text = '', { code = 451, enhanced = '4.7.1', scope = 'command' } = {}) {
  inClass('tempfail', 4, code)
  return decision('tempfail', scope, text, code, enhanced)
}

/** Answer 250 and drop it. Needs the grant "discard". */
function discard (text = '', { scope = 'command' } = {}) {
  return decision('discard', scope, text, text ? 250 : 0, '')
}

/** Answer 421 and close the connection. */
function disconnect (text = '', { enhanced = '4.7.0' } = {}) {
  return decision('disconnect', 'command', text, 421, enhanced)
}

/** No decision: weir does what on_error says. Sent when a handler throws. */
function failed (reason) {
  return new Decision({ action: 'unspecified', reason: word(reason).slice(0, 300) })
}

module.exports = { Decision, discard, disconnect, failed, reject, relay, tempfail, words }
