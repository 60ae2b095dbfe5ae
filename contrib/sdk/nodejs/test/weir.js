'use strict'
// weir's side of the protocol, for the tests.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const tls = require('node:tls')
const { Frames, decode, frame } = require('../lib/wire')

const PATIENCE = 10_000 // only a failing test waits so long

async function waitFor (condition, what) {
  for (const until = Date.now() + PATIENCE; ;) {
    const found = condition()
    if (found) return found
    assert.ok(Date.now() < until, `no ${what()}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

/** Serves the policy for the length of a test. */
async function serve (t, policy, { endpoint, ...options } = {}) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-policy-'))
  const stop = new AbortController()
  const lines = []
  policy.log = line => lines.push(line)
  const served = { stop: () => stop.abort(), place, lines }
  served.logged = words => waitFor(() => lines.find(line => line.includes(words)),
    () => `${words} in ${lines.join('\n')}`)
  await new Promise((resolve, reject) => {
    served.done = policy.serve(endpoint ?? `unix:${place}/s`,
      { signal: stop.signal, onListening: resolve, ...options })
    served.done.catch(reject)
  }).then(where => { served.endpoint = where })
  t.after(async () => {
    stop.abort()
    await served.done
    fs.rmSync(place, { recursive: true })
  })
  served.dial = () => {
    const weir = new Weir(served.endpoint)
    t.after(() => weir.socket.destroy())
    return weir
  }
  served.connect = async () => {
    const weir = served.dial()
    await weir.handshake()
    return weir
  }
  return served
}

class Weir {
  constructor (endpoint) {
    const [, kind, rest] = /^(\w+):(.*)$/.exec(endpoint)
    const [host, port] = rest.split(':')
    this.socket = kind === 'unix'
      ? net.connect(rest)
      : kind === 'tls'
        ? tls.connect({ host, port, rejectUnauthorized: false })
        : net.connect({ host, port })
    this.frames = new Frames()
    this.frames.limit = 1 << 24
    this.answers = []
    this.ended = false
    this.socket.on('data', data => {
      for (const bytes of this.frames.feed(data)) this.answers.push(decode('FromPolicy', bytes))
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => { this.ended = true })
  }

  async handshake () {
    this.hello()
    this.welcome = (await this.receive()).welcome
    this.send(0, 0, { ready: { subscriptions: this.welcome.subscriptions } })
  }

  hello (major = 1) {
    this.send(0, 0, { hello: { major, software: 'weir/test', policy: 'p', maxFrame: 1 << 20 } })
  }

  send (session, seq, event, deadlineMs = seq ? 5000 : 0) {
    this.socket.write(frame('ToPolicy', { session, seq, deadlineMs, ...event }))
  }

  async receive () {
    await waitFor(() => this.answers.length || this.ended, () => 'answer')
    assert.ok(this.answers.length, 'the server closed the connection')
    return this.answers.shift()
  }

  async silent () {
    await new Promise(resolve => setTimeout(resolve, 100))
    assert.deepEqual(this.answers, [])
  }

  async closed () {
    await waitFor(() => this.ended, () => 'end of the connection')
    assert.deepEqual(this.answers.filter(answer => answer.answer !== 'welcome'), [])
  }

  async ask (session, seq, event) {
    this.send(session, seq, event)
    return await this.decision(session, seq)
  }

  async decision (session, seq) {
    const answer = await this.receive()
    assert.deepEqual([answer.answer, answer.session, answer.seq], ['decision', session, seq])
    return answer.decision
  }
}

const mail = sender => ({ mail: { transactionId: '01T', sender } })
const rcpt = recipient => ({ rcpt: { recipient } })

/** A Headers event, its fields found as weir finds them. */
function headers (text, message = 1) {
  const fields = []
  let offset = 0
  for (const line of text.split(/(?<=\n)/)) {
    if (/^[ \t]/.test(line) && fields.length) fields[fields.length - 1].length += line.length
    else if (line.includes(':')) {
      fields.push({ offset, length: line.length, nameLength: line.split(':')[0].trimEnd().length })
    }
    offset += line.length
  }
  return { headers: { raw: Buffer.from(text, 'latin1'), fields, message } }
}

module.exports = { headers, mail, rcpt, serve, waitFor }
