'use strict'
const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const { execFileSync } = require('node:child_process')
const { test } = require('node:test')
const { Policy, Session, disconnect, reject, relay } = require('..')
const { headers, mail, rcpt, serve, waitFor } = require('./weir')

const release = () => {
  const gate = {}
  gate.opened = new Promise(resolve => { gate.open = resolve })
  return gate
}

const aborted = signal => new Promise((resolve, reject) => {
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
})

/** Answers an RCPT with the recipient as its rule; "slow" when the gate opens. */
function slow (gate = release(), options) {
  return new Policy('test/1', options).on('rcpt', (session, { recipient }, signal) => {
    const decision = relay().because({ rule: recipient })
    if (recipient !== 'slow') return decision
    return Promise.race([gate.opened, aborted(signal)]).then(() => decision)
  })
}

const phases = list => list.map(({ phase, decide }) => decide ? phase.toUpperCase() : phase).join(' ')

// ---------------------------------------------------------------- handlers

test('a handler that throws, or answers nonsense, is no verdict', async t => {
  const policy = new Policy()
    .on('mail', () => { throw new Error('the database is away') })
    .on('rcpt', async session => session.message.body)
    .on('data', () => 550)
    .on('headers', () => reject('a').because({ score: 'x' }))
    .on('transactionEnd', () => { throw new Error('at the end') })
  const served = await serve(t, policy)
  const weir = await served.connect()
  const first = await weir.ask(1, 1, mail('a@b'))
  assert.deepEqual([first.action, first.reason],
    ['unspecified', "the policy's handler for mail failed: the database is away"])
  assert.equal((await weir.ask(1, 2, rcpt('c@d'))).reason,
    "the policy's handler for rcpt failed: no message has begun in this session")
  assert.match((await weir.ask(1, 3, { data: {} })).reason, /returns a decision or nothing, not 550/)
  assert.equal((await weir.ask(1, 4, { endOfMessage: {} })).action, 'unspecified')
  weir.send(1, 0, { transactionEnd: {} })
  await served.logged("session 1: the handler for rcpt failed; weir's on_error decides: Error: no message")
  assert.match(await served.logged('the handler for transactionEnd failed: Error: at the end'), /policy\.test\.js/)
})

test('the session knows every fact', async t => {
  const seen = []
  const policy = new Policy('facts/1', { bodyLimit: 7 })
  policy.on('endOfMessage', (session, event) => {
    const { transaction } = session
    seen.push({ ...session, transaction, client: session.client, event, body: transaction?.message.body.toString() })
    session.state.kept = true
  })
  const weir = await (await serve(t, policy)).connect()
  const events = [
    { connect: { connectionId: '01S', listener: 'out', client: { address: '192.0.2.9', port: 4711 } } },
    { upstream: { connectUs: 7 } }, { tls: { leg: 'client', version: 'TLS1.3' } },
    { ehlo: { verb: 'EHLO', name: 'h.example' } }, { auth: { mechanism: 'PLAIN', identity: 'joe' } },
    mail('caf\udce9@b.example'), rcpt('c@d'), rcpt('e@f'), { data: { accepted: [1] } },
    headers('Subject : one\r\n\ttwo \r\nTo: x\r\nto: y\r\n\r\n'),
    { body: { message: 1, data: 'Hello' } }, { body: { message: 1, offset: 5, data: 'World' } }
  ]
  for (const event of events) weir.send(1, 0, event)
  await weir.ask(1, 1, { endOfMessage: { size: 50 } })
  const [{ transaction, ...facts }] = seen
  const { message } = transaction
  assert.equal(facts.weir.policy, 'p')
  assert.equal(facts.client.address, '192.0.2.9')
  assert.equal(facts.connect.listener, 'out')
  assert.equal(facts.upstream.connectUs, 7)
  assert.deepEqual([facts.tls.client.version, facts.tls.upstream], ['TLS1.3', null])
  assert.deepEqual([facts.ehlo.name, facts.auth.identity], ['h.example', 'joe'])
  assert.equal(transaction.sender, 'caf\udce9@b.example')
  assert.deepEqual(transaction.recipients.map(r => r.recipient), ['c@d', 'e@f'])
  assert.deepEqual(transaction.accepted, [1])
  assert.deepEqual([message.headers.get('subject'), message.headers.get('from')], ['one\ttwo', ''])
  assert.equal(message.headers.all('TO')[1].value, 'y')
  assert.equal(message.headers.items[1].raw.toString(), 'To: x\r\n')
  assert.deepEqual([facts.body, message.truncated, message.size], ['HelloWo', true, 50])
  weir.send(1, 0, { transactionEnd: {} })
  await weir.ask(1, 2, { endOfMessage: {} })
  assert.deepEqual([seen[1].transaction, seen[1].state], [null, { kept: true }])
})

test('subscriptions follow from the handlers', () => {
  const make = (options, ...on) => phases(on.reduce((p, phase) => p.on(phase, () => {}),
    new Policy('x', options)).subscriptions())
  const before = 'connect upstream tls ehlo auth mail'
  const after = 'transactionEnd sessionEnd'
  assert.equal(make({}), after)
  assert.equal(make({}, 'rcpt'), `${before} RCPT ${after}`)
  assert.equal(make({ context: false }, 'rcpt'), `RCPT ${after}`)
  assert.equal(make({ bodyLimit: 0 }, 'endOfMessage'), `${before} rcpt data headers ENDOFMESSAGE ${after}`)
  assert.equal(make({}, 'endOfMessage'), `${before} rcpt data headers body ENDOFMESSAGE ${after}`)
  assert.equal(make({}, 'transactionEnd'), `${before} rcpt data ${after}`)
  assert.equal(make({ bodyLimit: 0 }, 'body'), `${before} rcpt data headers body ${after}`)
  const policy = new Policy('x', { bodyLimit: 9 }).on('rcpt', { decide: false }, () => {}).on('endOfMessage', () => {})
  assert.equal(phases(policy.subscriptions(['rcpt', 'mail'])), 'mail rcpt')
  const both = new Policy('x').on('endOfMessage', () => {}).on('sessionEnd', () => {})
  assert.ok(both.subscriptions().some(({ phase }) => phase === 'body'))
  assert.equal(policy.subscriptions(['body'])[0].bodyPrefix, 9)
  assert.throws(() => policy.on('rcpt', () => {}), /has a handler already/)
  assert.throws(() => policy.on('recipient', () => {}), /no phase recipient/)
  assert.throws(() => policy.on('tls', { decide: true }, () => {}), /does not wait at tls/)
})

test('working, timeLeft, annotate', async t => {
  const policy = new Policy().on('rcpt', async (session, event, signal) => {
    const before = session.timeLeft()
    session.working(60_000)
    const after = session.timeLeft()
    session.annotate({ k: 'é' })
    await new Promise(resolve => setTimeout(resolve, 600))
    return before > 300 || after < 59_000 || signal.aborted ? disconnect(`${before} ${after}`) : relay()
  })
  const weir = await (await serve(t, policy)).connect()
  weir.send(1, 7, rcpt('x'), 300)
  const { seq, working } = await weir.receive()
  assert.deepEqual([seq, working.extraMs], [7, 60_000])
  assert.equal((await weir.receive()).annotate.annotations.k, '\\u00e9')
  assert.equal((await weir.decision(1, 7)).action, 'relay')
  const alone = new Session() // in a test of a handler there is no weir
  alone.working(1)
  alone.annotate({})
  assert.equal(alone.timeLeft(), null)
})

// ---------------------------------------------------------------- sessions

test('events of a session wait for each other, sessions do not', async t => {
  const gate = release()
  const weir = await (await serve(t, slow(gate))).connect()
  weir.send(1, 1, rcpt('slow'))
  weir.send(1, 2, rcpt('after'))
  for (let seq = 1; seq <= 100; seq++) await weir.ask(2, seq, rcpt('other'))
  await weir.silent()
  gate.open()
  assert.equal((await weir.decision(1, 1)).rule, 'slow')
  assert.equal((await weir.decision(1, 2)).rule, 'after')
})

test('ten thousand sessions on one connection', async t => {
  const weir = await (await serve(t, slow())).connect()
  const answered = new Set()
  for (let id = 1; id <= 10_000; id++) {
    weir.send(id, 0, mail('a@b'))
    weir.send(id, 1, rcpt('x'))
    weir.send(id, 0, { sessionEnd: {} })
  }
  await waitFor(() => weir.answers.length === 10_000, () => `10,000 answers: ${weir.answers.length}`)
  for (const { session, decision } of weir.answers) {
    assert.equal(decision.rule, 'x')
    answered.add(session)
  }
  assert.equal(answered.size, 10_000)
})

test('Cancel and the deadline abort the handler', async t => {
  const served = await serve(t, slow())
  const weir = await served.connect()
  weir.send(1, 1, rcpt('slow'))
  weir.send(1, 2, rcpt('slow')) // cancelled before its turn
  for (const seq of [2, 1]) weir.send(1, 0, { cancel: { seq } })
  weir.send(9, 0, { cancel: { seq: 1 } })
  assert.equal((await weir.ask(1, 3, rcpt('next'))).rule, 'next')
  weir.send(1, 4, rcpt('slow'), 30)
  assert.equal((await weir.ask(1, 5, rcpt('next'))).rule, 'next')
  await served.logged('session 1: no answer at rcpt before the deadline')
  assert.equal(served.lines.filter(line => line.includes('failed')).length, 0)
})

test('credit follows the handler', async t => {
  let open = []
  const policy = new Policy('x', { bodyWindow: 1000 })
  policy.on('body', () => new Promise(resolve => open.push(resolve)))
  const weir = await (await serve(t, policy)).connect()
  assert.equal(weir.welcome.bodyCredit, 1000)
  weir.send(1, 0, mail('a@b'))
  for (const message of [1, 2]) {
    weir.send(1, 0, headers('A: b\r\n\r\n', message))
    for (let offset = 0; offset < 1000; offset += 250) {
      weir.send(1, 0, { body: { message, offset, data: Buffer.alloc(250) } })
    }
    await weir.silent() // the handler is at work: no credit
    for (const maxOffset of [1500, 2000]) {
      for (let i = 0; i < 2; i++) {
        await waitFor(() => open.length, () => 'handler')
        open.pop()()
      }
      assert.deepEqual((await weir.receive()).credit, { maxOffset, message })
    }
  }
  assert.deepEqual(open, [])
})

test('reading stops when handlers are too slow and weir ignores credit', async t => {
  const policy = new Policy().on('body', (session, event, signal) => aborted(signal).catch(() => {}))
  const weir = await (await serve(t, policy)).connect()
  const data = Buffer.alloc(1 << 19)
  let taken = 0
  while (taken < 128 << 20) {
    weir.send(1, 0, { body: { message: 1, offset: taken, data } })
    taken += data.length
    if (!weir.socket.writableNeedDrain) continue
    const drained = new Promise(resolve => weir.socket.once('drain', () => resolve(true)))
    const late = new Promise(resolve => setTimeout(() => resolve(false), 2000))
    if (!await Promise.race([drained, late])) break
  }
  assert.ok(taken > 64 << 20 && taken < 68 << 20, `${taken} bytes were taken`)
})

test('weir is lost: its sessions end', async t => {
  const ends = []
  const policy = slow().on('sessionEnd', ({ client }, { cause }, signal) => {
    if (!signal.aborted) ends.push(`${client.address} ${cause}`)
  })
  const served = await serve(t, policy)
  const weir = await served.connect()
  for (const [id, address] of [[1, 'a'], [2, 'b'], [3, 'c']]) {
    weir.send(id, 0, { connect: { client: { address } } })
  }
  weir.send(1, 1, rcpt('slow'))
  weir.send(2, 0, { sessionEnd: { cause: 'quit' } })
  weir.socket.end()
  await waitFor(() => ends.length === 3, () => `3 ends: ${ends}`)
  assert.deepEqual(ends.sort(), ['a policy connection lost', 'b quit', 'c policy connection lost'])
  const again = await served.connect() // the same numbers are new sessions there
  again.send(1, 0, { sessionEnd: { cause: 'quit' } })
  await waitFor(() => ends.includes(' quit'), () => 'end of a new session')
})

// -------------------------------------------------------------- connection

test('Ping, Update, Drain, and what a later version sends', async t => {
  const policy = slow(undefined, { version: '1' })
  const served = await serve(t, policy)
  const weirs = [await served.connect(), await served.connect()]
  assert.equal(weirs[0].welcome.version, '1')
  weirs[0].send(0, 0, { ping: { token: 2n ** 63n } })
  assert.equal((await weirs[0].receive()).pong.token, 2n ** 63n)
  policy.version = '1'
  policy.version = '2'
  for (const weir of weirs) {
    const { update } = await weir.receive()
    assert.equal(update.version, '2')
    assert.deepEqual(update.subscriptions, weir.welcome.subscriptions)
  }
  weirs[0].send(0, 0, { drain: {} })
  await served.logged('weir drains: 0 sessions are open')
  weirs[0].socket.write(Buffer.from([0, 0, 0, 3, 0x82, 0x7d, 0]))
  assert.equal((await weirs[0].ask(1, 1, rcpt('x'))).rule, 'x')
})

test('protocol errors end the connection, in words', async t => {
  const served = await serve(t, slow())
  const raw = (...bytes) => Buffer.from([...bytes, ...new Array(12).fill(0)])
  for (const [words, act] of [
    ['it begins with "GET / HTTP/1.1\\r\\n"', w => w.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['weir/test speaks version 2 of the protocol', w => w.hello(2)],
    ['mail came before Hello', w => w.send(1, 0, mail('a@b'))],
    ['rcpt came before Ready', w => { w.hello(); w.send(1, 1, rcpt('x')) }],
    ['mail without a session', async w => { await w.handshake(); w.send(0, 0, mail('a@b')) }],
    ['a body longer than any', async w => {
      await w.handshake()
      w.send(1, 0, { body: { offset: 2n ** 63n, data: Buffer.from('x') } })
    }],
    ['its max_frame of 1 is too small', w => w.send(0, 0, { hello: { major: 1, maxFrame: 1 } })],
    ['no message of weir', w => w.socket.write(Buffer.from([0, 0, 0, 4, 255, 255, 255, 255]))],
    ['a frame of 65537 bytes where 65536 are allowed', w => w.socket.write(raw(0, 1, 0, 1))],
    ['a frame of 1048577 bytes where 1048576 are allowed',
      async w => { await w.handshake(); w.socket.write(raw(0, 16, 0, 1)) }]
  ]) {
    const weir = served.dial()
    await act(weir)
    await weir.closed()
    await served.logged(words)
  }
  assert.equal((await (await served.connect()).ask(1, 1, rcpt('x'))).rule, 'x')
})

test('a decision that fits into no frame is no verdict', async t => {
  const policy = new Policy().on('headers', () => relay().addHeader('X', 'x'.repeat(1 << 20)))
  const served = await serve(t, policy)
  const { action, reason } = await (await served.connect()).ask(1, 1, headers('A: b\r\n\r\n'))
  assert.equal(action, 'unspecified')
  assert.match(reason, /an answer of \d+ bytes, and 1048576 are allowed/)
})

// ------------------------------------------------------------ start, stop

test('stop answers what was asked', async t => {
  const gate = release()
  const served = await serve(t, slow(gate))
  const [weir, idle] = [await served.connect(), await served.connect()]
  weir.send(1, 1, rcpt('slow'))
  await weir.ask(2, 1, rcpt('x')) // so that one has arrived
  served.stop()
  await idle.closed()
  assert.equal(fs.existsSync(`${served.place}/s`), false)
  gate.open()
  assert.equal((await weir.decision(1, 1)).rule, 'slow')
  await weir.closed()
  await served.done
})

test('stop does not wait for ever', async t => {
  const policy = new Policy('x', { stopTimeout: 100 }) // its handler heeds no signal
  policy.on('rcpt', (session, { recipient }) =>
    recipient === 'slow' ? new Promise(() => {}) : relay())
  const served = await serve(t, policy)
  const weir = await served.connect()
  weir.send(1, 1, rcpt('slow'))
  await weir.ask(2, 1, rcpt('x'))
  served.stop()
  await weir.closed()
  await served.done
})

test('endpoints', async t => {
  const served = await serve(t, slow())
  const file = `${served.place}/file`
  fs.writeFileSync(file, '')
  for (const [endpoint, message] of [[served.endpoint, /another server listens there/],
    [`unix:${file}`, /no socket/], ['tls:127.0.0.1:0', /certificate/], ['http://x', /no endpoint/],
    ['tcp:x', /no endpoint/], [undefined, /no endpoint/]]) {
    await assert.rejects(new Policy().serve(endpoint), { message })
  }
  // as long as a path may be, and longer
  const long = `${served.place}/`.padEnd(107, 'x')
  await assert.rejects(new Policy().serve(`unix:${long}x`), { message: /too long/ })
  const brief = new AbortController()
  await new Policy('x', { log: () => {} }).serve(`unix:${long}`,
    { signal: brief.signal, onListening: () => { fs.statSync(long); brief.abort() } })
  // one that a dead server left behind is replaced
  const dead = `${served.place}/dead`
  execFileSync('/usr/bin/python3', ['-c', 'import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])', dead])
  const stop = new AbortController()
  const policy = new Policy('x', { log: () => {} })
  const done = await new Promise(resolve => {
    const ended = policy.serve(`unix:${dead}`, { signal: stop.signal, onListening: () => resolve(() => ended) })
  })
  await new Promise(resolve => net.connect(dead).on('connect', resolve).on('connect', function () { this.destroy() }))
  fs.rmSync(dead)
  fs.writeFileSync(dead, '') // somebody else's now
  stop.abort()
  await done()
  assert.ok(fs.existsSync(dead))
})

test('tcp and TLS', async t => {
  const pem = execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
    '-nodes', '-days', '2', '-subj', '/CN=policy', '-keyout', '-'], { stdio: ['ignore', 'pipe', 'ignore'] })
  for (const [endpoint, tls] of [['tcp:127.0.0.1:0'], ['tls:127.0.0.1:0', { cert: pem, key: pem }]]) {
    const served = await serve(t, slow(), { endpoint, tls })
    assert.match(served.endpoint, /^t\w\w:127\.0\.0\.1:[1-9]/)
    assert.equal((await (await served.connect()).ask(1, 1, rcpt('x'))).rule, 'x')
  }
})
