'use strict'
// One connection from weir: handshake, frames, and the sessions on it.
//
//   bytes -> Frames -> Connection -> Runner (one per session) -> handler
//   bytes <- one write per turn   <-        its decision      <-

const { word } = require('./text')
const { Question, Runner } = require('./runner')
const { Headers } = require('./session')
const { FRAME_MAX, Frames, ProtocolError, decode, frame } = require('./wire')

const HANDSHAKE_MS = 10_000
const GRACE_MS = 50
// When handlers are slower than that, nothing more is read. Body credit makes
// weir pause single sessions long before.
const BACKLOG_MAX = 64 * 1024 * 1024
const EVENT_COST = 512 // memory of an event, however small its frame
const OFFSET_MAX = 2 ** 52
const FRAME_MIN = 4096 // less has no room for an answer

class Connection {
  constructor (policy, socket) {
    this.policy = policy
    this.socket = socket
    this.runners = new Map()
    this.frames = new Frames()
    this.weir = null // its Hello
    this.version = '' // that weir knows
    this.ready = false
    this.closed = false
    this.stopping = false
    this.unanswered = 0
    this.backlog = 0
    this.corked = false
    this.patience = setTimeout(() => this.fail(new ProtocolError('no handshake in time')), HANDSHAKE_MS)
    socket.on('data', chunk => this.take(chunk))
    socket.on('drain', () => this.flow())
    socket.on('error', error => policy.log(`weir's connection: ${error.message}`))
    socket.on('close', () => this.lost())
  }

  // -------------------------------------------------------------- output

  /** Queue one message. Throws if it does not fit into a frame. */
  send (message) {
    if (this.closed) return
    const bytes = frame('FromPolicy', message)
    if (bytes.length - 4 > this.frames.limit) {
      throw new RangeError(`an answer of ${bytes.length - 4} bytes, and ${this.frames.limit} are allowed`)
    }
    if (!this.corked) { // what is sent in this turn leaves in one write
      this.corked = true
      this.socket.cork()
      setImmediate(() => {
        this.corked = false
        this.socket.uncork()
        this.flow()
      })
    }
    this.socket.write(bytes)
  }

  /** Read on, unless too much waits for handlers, or for weir. */
  flow () {
    if (this.backlog > BACKLOG_MAX || this.socket.writableNeedDrain) this.socket.pause()
    else if (this.socket.isPaused()) this.socket.resume()
  }

  hold (size) {
    this.backlog += size
    if (this.backlog > BACKLOG_MAX) this.flow()
  }

  /** An event is done with; a question has its answer, or needs none. */
  release (size, seq) {
    const full = this.backlog > BACKLOG_MAX
    this.backlog -= size
    if (full) this.flow()
    if (seq) this.unanswered--
    this.closeIfIdle()
  }

  /** Answer what was asked, then close. */
  stop () {
    setTimeout(() => {
      this.stopping = true
      this.closeIfIdle()
    }, GRACE_MS)
  }

  closeIfIdle () {
    if (this.stopping && this.unanswered === 0) this.end()
  }

  end () {
    if (this.closed) return
    this.closed = true
    this.socket.end()
    this.socket.destroySoon()
  }

  fail (error) {
    this.policy.log(`closing weir's connection: ${error.message}`)
    this.end()
  }

  lost () {
    this.closed = true
    clearTimeout(this.patience)
    if (this.runners.size && !this.stopping) {
      this.policy.log(`weir's connection is gone, with ${this.runners.size} sessions open`)
    }
    for (const runner of [...this.runners.values()]) runner.lost()
    this.policy.gone(this)
  }

  // --------------------------------------------------------------- input

  take (chunk) {
    try {
      for (const bytes of this.frames.feed(chunk)) {
        if (this.closed) return
        this.message(decode('ToPolicy', bytes), EVENT_COST + bytes.length)
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.fail(error)
    }
  }

  message (message, size) {
    const kind = message.event
    if (this.weir === null) {
      if (kind !== 'hello') throw new ProtocolError(`${kind} came before Hello`)
      this.hello(message.hello)
    } else if (!this.ready) {
      if (kind !== 'ready') throw new ProtocolError(`${kind} came before Ready`)
      this.begin(message.ready)
    } else if (kind === 'cancel') {
      this.runners.get(message.session)?.withdraw(message.cancel.seq)
    } else if (kind === 'ping') {
      this.send({ pong: { token: message.ping.token } })
    } else if (kind === 'drain') {
      this.policy.log(`weir drains: ${this.runners.size} sessions are open`)
    } else if (kind !== null && kind !== 'hello' && kind !== 'ready') {
      this.event(message, size)
    } // else of a later version: we did not ask for it
  }

  hello (hello) {
    if (hello.major !== 1) {
      throw new ProtocolError(`${hello.software} speaks version ${hello.major} of the protocol, and this is version 1`)
    }
    this.weir = hello
    this.version = this.policy.version
    const limit = Math.min(hello.maxFrame || FRAME_MAX, FRAME_MAX)
    if (limit < FRAME_MIN) throw new ProtocolError(`its max_frame of ${limit} is too small`)
    const subscriptions = this.policy.subscriptions(hello.phases)
    this.send({
      welcome: {
        major: 1,
        software: word(this.policy.software),
        version: word(this.version),
        maxFrame: limit,
        subscriptions,
        bodyCredit: subscriptions.some(s => s.phase === 'body') ? this.policy.bodyWindow : 0
      }
    })
    this.frames.limit = limit
  }

  begin (ready) {
    this.ready = true
    clearTimeout(this.patience)
    this.policy.log(`connected: ${this.weir.software}, policy ${JSON.stringify(this.weir.policy)}`)
    for (const phase of ready.refused) this.policy.log(`weir refused a subscription: ${phase}`)
    this.update()
  }

  /** Tell weir the present version; what comes before Ready waits for it. */
  update () {
    if (!this.ready || this.version === this.policy.version) return
    this.version = this.policy.version
    this.send({
      update: { version: word(this.version), subscriptions: this.policy.subscriptions(this.weir.phases) }
    })
  }

  event ({ session, seq, deadlineMs, event: kind, [kind]: facts }, size) {
    if (session === 0) throw new ProtocolError(`${kind} without a session`)
    if (kind === 'body' && !(facts.offset <= OFFSET_MAX)) throw new ProtocolError('a body longer than any')
    if (seq) this.unanswered++
    let runner = this.runners.get(session)
    if (runner === undefined) {
      runner = new Runner(this, session)
      this.runners.set(session, runner)
    }
    const event = kind === 'headers' ? new Headers(facts) : facts
    runner.push(new Question(seq, kind, event, size, seq && deadlineMs))
  }
}

module.exports = { Connection }
