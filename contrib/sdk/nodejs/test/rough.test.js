'use strict'
// What handlers and weirs do that nobody expects of them.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Policy, reject, relay } = require('..')
const { frame } = require('../lib/wire')
const { headers, mail, rcpt, serve } = require('./weir')

test('a thenable, and an error without words, do not end the process', async t => {
  const policy = new Policy()
    .on('mail', () => ({ then (done) { done(reject('later')) } }))
    .on('rcpt', () => Promise.reject(Object.create(null)))
    .on('data', () => { throw Object.create(null) })
    .on('headers', () => Object.create(null))
  const weir = await (await serve(t, policy)).connect()
  assert.equal((await weir.ask(1, 1, mail('a@b'))).action, 'reject')
  assert.equal((await weir.ask(1, 2, rcpt('c@d'))).action, 'unspecified')
  assert.equal((await weir.ask(1, 3, { data: {} })).action, 'unspecified')
  assert.equal((await weir.ask(1, 4, headers('A: b\r\n\r\n'))).action, 'unspecified')
})

test('a deadline in more than 24 days is not now', async t => {
  let open
  const opened = new Promise(resolve => { open = resolve })
  const policy = new Policy().on('rcpt', async (session, { recipient }) => {
    if (recipient === 'working') session.working(3e9)
    await opened
    return relay()
  })
  const weir = await (await serve(t, policy)).connect()
  weir.send(1, 1, rcpt('x'), 4e9)
  weir.send(2, 1, rcpt('working'))
  assert.equal((await weir.receive()).working.extraMs, 3e9)
  await weir.silent()
  open()
  assert.equal((await weir.decision(1, 1)).action, 'relay')
  assert.equal((await weir.decision(2, 1)).action, 'relay')
})

test('reading stops when questions come faster than answers', async t => {
  const policy = new Policy().on('rcpt', () => new Promise(() => {}))
  const weir = await (await serve(t, policy)).connect()
  const question = frame('ToPolicy', { session: 1, seq: 1, rcpt: {} })
  const many = Buffer.concat(new Array(10000).fill(question))
  let taken = 0
  for (let stuck = false; !stuck && taken < 400000; taken += 10000) {
    stuck = !await new Promise(resolve => {
      weir.socket.write(many, () => resolve(true))
      setTimeout(() => resolve(false), 2000)
    })
  }
  assert.ok(taken < 400000, `${taken} questions were taken`)
})
