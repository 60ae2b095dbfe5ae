'use strict'
// What a policy knows of one SMTP session: everything weir has told so far.

const { toText } = require('./text')

/** The header section of HEADERS, with its fields looked up. */
class Headers {
  #items
  constructor ({ raw, fields, message }) {
    Object.assign(this, { raw, fields, message })
  }

  /** { name, value, raw } of each field. insertHeader counts by it. */
  get items () {
    this.#items ??= this.fields.map(({ offset, length, nameLength }) => {
      const raw = this.raw.subarray(offset, offset + length)
      const value = raw.subarray(raw.indexOf(':', nameLength) + 1)
      return {
        name: toText(raw.subarray(0, nameLength)),
        value: toText(value).replace(/\r?\n/g, '').trim(),
        raw
      }
    })
    return this.#items
  }

  /** The fields of that name. changeHeader and deleteHeader count by it. */
  all (name) {
    return this.items.filter(item => item.name.toLowerCase() === name.toLowerCase())
  }

  /** The value of the first field of that name; '' without one. */
  get (name) {
    return this.all(name)[0]?.value ?? ''
  }
}

/** The content, as far as it was shown. */
class Message {
  #chunks = []
  #length = 0
  constructor (headers) {
    this.headers = headers
    this.size = 0 // of all of it, known at END_OF_MESSAGE
    this.truncated = false // longer than bodyLimit
    this.gaps = []
  }

  get body () {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]
  }

  /** @internal */
  take (data, limit) {
    const room = limit - this.#length
    if (data.length > room) this.truncated = true
    const kept = data.subarray(0, Math.max(room, 0))
    this.#length += kept.length
    if (kept.length) this.#chunks.push(Buffer.from(kept)) // not all of its frame
  }
}

class Session {
  #runner
  constructor (runner, weir = null) {
    this.#runner = runner
    this.weir = weir // what weir says of itself: policy, mode, grants, pools
    this.connect = null // each null until it is known
    this.upstream = null
    this.tls = { client: null, upstream: null }
    this.ehlo = null
    this.auth = null
    this.transaction = null // { id, sender, mail, recipients, accepted, message }
    this.state = {} // the policy's own
  }

  get connectionId () { return this.connect?.connectionId ?? '' }
  get listener () { return this.connect?.listener ?? '' }
  get client () { return this.connect?.client ?? { address: '', port: 0 } }
  get destination () { return this.connect?.destination ?? { address: '', port: 0 } }

  /** The present transaction; throws, and so leaves it to on_error, if there is none. */
  get envelope () {
    if (this.transaction === null) throw new Error('no transaction has begun in this session')
    return this.transaction
  }

  /** The present transaction's content; likewise. */
  get message () {
    const { message } = this.envelope
    if (message === null) throw new Error('no message has begun in this session')
    return message
  }

  /** Tell weir that the present answer takes so much longer, from now. */
  working (milliseconds) {
    this.#runner?.working(milliseconds)
  }

  /** Milliseconds until weir stops waiting; null if it does not wait. */
  timeLeft () {
    return this.#runner?.timeLeft() ?? null
  }

  /** Add facts to weir's record of this session. */
  annotate (facts) {
    this.#runner?.annotate(facts)
  }

  /** @internal An event, before its handler sees it. */
  learn (kind, event, bodyLimit) {
    if (kind === 'connect' || kind === 'upstream' || kind === 'ehlo' || kind === 'auth') {
      this[kind] = event
    } else if (kind === 'tls') {
      this.tls[event.leg] = event
    } else if (kind === 'mail') {
      this.transaction = {
        id: event.transactionId,
        sender: event.sender,
        mail: event,
        recipients: [],
        accepted: null,
        message: null
      }
    } else if (this.transaction !== null) {
      learnContent(this.transaction, kind, event, bodyLimit)
    }
  }

  /** @internal What ended with an event, after its handler saw it. */
  forget (kind) {
    if (kind === 'transactionEnd') this.transaction = null
  }
}

function learnContent (transaction, kind, event, bodyLimit) {
  const { message } = transaction
  if (kind === 'rcpt') transaction.recipients.push(event)
  else if (kind === 'data') transaction.accepted = event.accepted
  else if (kind === 'headers') transaction.message = new Message(event)
  else if (message === null) return
  else if (kind === 'body' && bodyLimit) message.take(event.data, bodyLimit)
  else if (kind === 'endOfMessage') {
    message.size = event.size
    message.truncated ||= event.truncated
    message.gaps = event.gaps
  }
}

module.exports = { Headers, Session }
