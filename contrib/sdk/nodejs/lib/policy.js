'use strict'
// Policy: handlers in, a running policy server out.

const { Connection } = require('./connection')
const { listen, secureOptions } = require('./listen')
const { enums } = require('./schema.json')

const PHASES = Object.keys(enums.Phase).slice(1) // in order
const NOTIFY_ONLY = new Set(['upstream', 'tls', 'reply', 'transactionEnd', 'sessionEnd'])

class Policy {
  #version
  #connections = new Set()
  #idle = null

  /** See index.d.ts for the options. */
  constructor (software = 'weir-policy/1.0', {
    version = '', context = true, bodyLimit = 10 * 1024 * 1024,
    bodyWindow = 256 * 1024, stopTimeout = 5000,
    log = line => console.error(line)
  } = {}) {
    if (!(bodyWindow >= 1)) throw new RangeError('bodyWindow is at least one byte')
    Object.assign(this, { software, context, bodyLimit, bodyWindow, stopTimeout, log })
    this.handlers = new Map()
    this.busy = new Set() // runners whose handlers are at work
    this.#version = version
  }

  /** Of the rules: recorded with each decision; weir is told when it changes. */
  get version () { return this.#version }
  set version (version) {
    this.#version = version
    for (const connection of this.#connections) connection.update()
  }

  /** Sets the handler of a phase. */
  on (phase, options, handler) {
    if (typeof options === 'function') [options, handler] = [{}, options]
    if (!PHASES.includes(phase)) throw new RangeError(`there is no phase ${phase}`)
    if (this.handlers.has(phase)) throw new Error(`${phase} has a handler already`)
    const { decide = !NOTIFY_ONLY.has(phase) && phase !== 'body', prefix = 0 } = options
    if (decide && NOTIFY_ONLY.has(phase)) throw new Error(`weir does not wait at ${phase}`)
    this.handlers.set(phase, { function: handler, decide, prefix })
    return this
  }

  /** What the handlers need: their phases, and the ones before, so that the
   * session knows what happened; as far as weir offers them. */
  subscriptions (offered = []) {
    const end = Math.max(-1, ...[...this.handlers.keys()].map(phase => {
      const index = PHASES.indexOf(phase) // behind the message: the envelope, but no content
      return index > PHASES.indexOf('endOfMessage') ? PHASES.indexOf('headers') : index
    }))
    return PHASES.filter((phase, index) => {
      if (offered.length && !offered.includes(phase)) return false
      if (this.handlers.has(phase) || phase === 'transactionEnd' || phase === 'sessionEnd') return true
      if (phase === 'body' && this.bodyLimit === 0) return false
      return this.context && index < end && phase !== 'command'
    }).map(phase => {
      const { decide = false, prefix } = this.handlers.get(phase) ?? {}
      return { phase, decide, bodyPrefix: phase === 'body' ? prefix ?? this.bodyLimit : 0 }
    })
  }

  /** Serve at an endpoint, or as commandLine() says, until SIGTERM or SIGINT. */
  async run (options) {
    const { listen: endpoint, ...more } = typeof options === 'string' ? { listen: options } : options
    const stop = new AbortController()
    for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop.abort())
    try {
      await this.serve(endpoint, { signal: stop.signal, tls: await secureOptions(more) })
      process.exit(0) // whatever a handler left behind
    } catch (error) {
      this.log(`${endpoint}: ${error.message}`)
      process.exit(2)
    }
  }

  /** Serve until the signal aborts; then answer what was asked, and close. */
  async serve (endpoint, { signal, tls, onListening = () => {} } = {}) {
    const { endpoint: where, server, stop } = await listen(endpoint, tls, socket => {
      this.#connections.add(new Connection(this, socket))
    })
    server.on('error', error => this.log(`${where}: ${error.message}`))
    server.on('tlsClientError', error => this.log(`${where}: TLS: ${error.message}`))
    this.log(`listening on ${where}`)
    onListening(where)
    if (!signal?.aborted) {
      await new Promise(resolve => signal?.addEventListener('abort', resolve, { once: true }))
    }
    this.log('stopping')
    await stop()
    await this.#finish()
  }

  async #finish () {
    for (const connection of this.#connections) connection.stop()
    let timer
    const late = new Promise(resolve => { timer = setTimeout(resolve, this.stopTimeout) })
    while (this.#connections.size || this.busy.size) {
      const ended = new Promise(resolve => { this.#idle = resolve })
      if (await Promise.race([ended.then(() => false), late.then(() => true)])) break
    }
    clearTimeout(timer)
    for (const connection of this.#connections) connection.end()
  }

  /** @internal */
  gone (connection) {
    this.#connections.delete(connection)
    this.settled()
  }

  /** @internal */
  settled () {
    this.#idle?.()
  }
}

module.exports = { Policy }
